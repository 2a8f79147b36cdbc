// SPDX-License-Identifier: MIT
//
// Fixed buffers of an io_uring. A register call and the ring that it belongs to are all that is
// needed: nothing is ever submitted.
#include <linux/io_uring.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include "../unique_fd.h"
#include "peer.h"

namespace framevec::peers {
namespace {

// The kernel takes no larger one (io_buffer_validate()).
constexpr size_t kMostOfABuffer = size_t{1} << 30;

class IoUring final : public Timed<IoUring> {
 public:
  bool Open(const Memory& memory) {
    io_uring_params params{};
    ring_ = UniqueFd(static_cast<int>(syscall(SYS_io_uring_setup, 1, &params)));
    if (!ring_) return Failed("io_uring_setup");
    for (size_t at = 0; at < memory.length; at += kMostOfABuffer) {
      buffers_.push_back(
          {static_cast<char*>(memory.address) + at, std::min(memory.length - at, kMostOfABuffer)});
    }
    return true;
  }
  bool Acquire() {
    return syscall(SYS_io_uring_register, ring_.get(), IORING_REGISTER_BUFFERS, buffers_.data(),
                   buffers_.size()) == 0 ||
           Failed("io_uring_register(IORING_REGISTER_BUFFERS)");
  }
  bool Release() {
    return syscall(SYS_io_uring_register, ring_.get(), IORING_UNREGISTER_BUFFERS, nullptr, 0) ==
               0 ||
           Failed("io_uring_register(IORING_UNREGISTER_BUFFERS)");
  }

 private:
  UniqueFd ring_;
  std::vector<iovec> buffers_;
};

}  // namespace

std::unique_ptr<Peer> OpenIoUring(const Memory& memory, Failure* failure) {
  return Open<IoUring>(memory, failure);
}

}  // namespace framevec::peers
