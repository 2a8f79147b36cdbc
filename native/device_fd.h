// SPDX-License-Identifier: MIT
#ifndef FRAMEVEC_DEVICE_FD_H_
#define FRAMEVEC_DEVICE_FD_H_

#include <sys/stat.h>

#include "unique_fd.h"

namespace framevec {

// Owns the descriptor of a file that was opened by its path. It is closed only if the number still
// stands for that file: other code may have closed it, and another file may have got the number.
class DeviceFd {
 public:
  DeviceFd() = default;
  DeviceFd(DeviceFd&&) noexcept = default;
  DeviceFd& operator=(DeviceFd&&) noexcept = default;
  DeviceFd(const DeviceFd&) = delete;
  DeviceFd& operator=(const DeviceFd&) = delete;
  ~DeviceFd() { Reset(); }

  // 0, or -errno.
  int Open(const char* path, int flags);
  bool Ours() const;
  void Reset();
  int get() const { return fd_.get(); }
  explicit operator bool() const { return static_cast<bool>(fd_); }

 private:
  UniqueFd fd_;
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

}  // namespace framevec

#endif  // FRAMEVEC_DEVICE_FD_H_
