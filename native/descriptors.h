// SPDX-License-Identifier: MIT
#ifndef FRAMEVEC_DESCRIPTORS_H_
#define FRAMEVEC_DESCRIPTORS_H_

#include "unique_fd.h"

namespace framevec {

// Tells whether a descriptor's number still stands for the file that it stood for: other code in
// the process may close any number, and the kernel then gives it to the next file that is opened.
// All vectors share one anonymous inode, so fstat() can't tell them apart. An epoll instance can:
// it knows each entry by number *and* open file, and drops it when the file is gone. Nobody waits
// on this one.
class Descriptors {
 public:
  // False if the kernel can't note it; Has() then says yes as long as something is open there.
  bool Note(int fd);
  bool Has(int fd, bool noted) const;

 private:
  UniqueFd epoll_;
};

}  // namespace framevec

#endif  // FRAMEVEC_DESCRIPTORS_H_
