// SPDX-License-Identifier: MIT
//
// Memory that stays, though its frames may change: no pin, yet what many take for one.
#include <sys/mman.h>

#include "peer.h"

namespace framevec::peers {
namespace {

class Mlock final : public Timed<Mlock> {
 public:
  bool Open(const Memory& memory) {
    memory_ = memory;
    return true;
  }
  bool Acquire() { return mlock(memory_.address, memory_.length) == 0 || Failed("mlock"); }
  bool Release() { return munlock(memory_.address, memory_.length) == 0 || Failed("munlock"); }

 private:
  Memory memory_{};
};

}  // namespace

std::unique_ptr<Peer> OpenMlock(const Memory& memory, Failure* failure) {
  return Open<Mlock>(memory, failure);
}

}  // namespace framevec::peers
