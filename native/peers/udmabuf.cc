// SPDX-License-Identifier: MIT
//
// A dma-buf of a memfd: of one of its own, as large as the memory, for udmabuf takes nothing else.
// It holds references before 6.12, and pins from there on.
#include <fcntl.h>
#include <linux/udmabuf.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../unique_fd.h"
#include "peer.h"

namespace framevec::peers {
namespace {

class Udmabuf final : public Timed<Udmabuf> {
 public:
  bool Open(const Memory& memory) {
    device_ = UniqueFd(open("/dev/udmabuf", O_RDWR | O_CLOEXEC));
    if (!device_) return Failed("open(/dev/udmabuf)");
    memfd_ = UniqueFd(memfd_create("framevec-bench", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (!memfd_) return Failed("memfd_create");
    const auto length = static_cast<off_t>(memory.length);
    // Resident, as the others' memory is.
    if (ftruncate(memfd_.get(), length) != 0 || fallocate(memfd_.get(), 0, 0, length) != 0) {
      return Failed("fallocate");
    }
    if (fcntl(memfd_.get(), F_ADD_SEALS, F_SEAL_SHRINK) != 0) return Failed("fcntl(F_ADD_SEALS)");
    create_.memfd = static_cast<uint32_t>(memfd_.get());
    create_.flags = UDMABUF_FLAGS_CLOEXEC;
    create_.size = memory.length;
    return true;
  }
  bool Acquire() {
    buffer_ = UniqueFd(ioctl(device_.get(), UDMABUF_CREATE, &create_));
    return buffer_ || Failed("ioctl(UDMABUF_CREATE)");
  }
  bool Release() {
    buffer_.Reset();
    return true;
  }

 private:
  UniqueFd device_;
  UniqueFd memfd_;
  UniqueFd buffer_;
  udmabuf_create create_{};
};

}  // namespace

std::unique_ptr<Peer> OpenUdmabuf(const Memory& memory, Failure* failure) {
  return Open<Udmabuf>(memory, failure);
}

}  // namespace framevec::peers
