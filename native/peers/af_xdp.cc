// SPDX-License-Identifier: MIT
//
// The packet memory (umem) of an AF_XDP socket. It goes with its socket, so each pair has a new
// one; and it goes late: a worker of the kernel's unpins after close() has returned
// (xdp_put_umem()).
#include <linux/if_xdp.h>
#include <sys/socket.h>

#include <ctime>

#include "../unique_fd.h"
#include "peer.h"
#include "pin_counters.h"

namespace framevec::peers {
namespace {

constexpr uint32_t kChunk = 4096;
constexpr double kPatience = 1e10;  // ns

class AfXdp final : public Timed<AfXdp> {
 public:
  AfXdp() = default;
  AfXdp(const AfXdp&) = delete;
  AfXdp& operator=(const AfXdp&) = delete;
  ~AfXdp() override {
    socket_.Reset();
    Settle();
  }
  bool Open(const Memory& memory) {
    umem_.addr = reinterpret_cast<uintptr_t>(memory.address);
    umem_.len = memory.length;
    umem_.chunk_size = kChunk;
    settles_ = FramesPinned(&before_);
    return true;
  }
  bool Prepare() {
    socket_ = UniqueFd(socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0));
    return socket_ || Failed("socket(AF_XDP)");
  }
  bool Acquire() {
    return setsockopt(socket_.get(), SOL_XDP, XDP_UMEM_REG, &umem_, sizeof umem_) == 0 ||
           Failed("setsockopt(XDP_UMEM_REG)");
  }
  bool Release() {
    socket_.Reset();
    return true;
  }
  // Waits until what was pinned here is not any more, or a worker unpins while the next pair pins.
  void Settle() {
    if (!settles_) return;
    const double end = Now() + kPatience;
    int64_t now;
    while (FramesPinned(&now) && now > before_) {
      if (Now() > end) {
        // Someone else has pinned, and goes on to.
        before_ = now;
        return;
      }
      const timespec pause = {0, 100'000};
      nanosleep(&pause, nullptr);
    }
  }

 private:
  UniqueFd socket_;
  xdp_umem_reg umem_{};
  bool settles_ = false;
  int64_t before_ = 0;
};

}  // namespace

std::unique_ptr<Peer> OpenAfXdp(const Memory& memory, Failure* failure) {
  return Open<AfXdp>(memory, failure);
}

}  // namespace framevec::peers
