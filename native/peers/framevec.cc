// SPDX-License-Identifier: MIT
//
// Our own ioctls from C, on a vector that is reused: what the addon and JavaScript are held
// against.
#include "../../kmod/uapi/framevec.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "../unique_fd.h"
#include "peer.h"

namespace framevec::peers {
namespace {

template <bool timed>
class Framevec final : public Timed<Framevec<timed>> {
 public:
  // With the timing flag: GUP and the whole ioctl, of the pin and of the unpin.
  static constexpr uint32_t kColumns = timed ? 6 : 2;

  bool Open(const Memory& memory) {
    const UniqueFd device(open(FRAMEVEC_DEVICE, O_RDWR | O_CLOEXEC));
    if (!device) return this->Failed("open(" FRAMEVEC_DEVICE ")");
    const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    framevec_create create{};
    create.size = sizeof create;
    create.capacity = (memory.length + page - 1) / page;
    if (ioctl(device.get(), FRAMEVEC_IOC_CREATE, &create) != 0) {
      return this->Failed("ioctl(FRAMEVEC_IOC_CREATE)");
    }
    vector_ = UniqueFd(create.fd);
    pin_.size = sizeof pin_;
    pin_.flags = (memory.write ? FRAMEVEC_PIN_WRITE : 0) | (timed ? FRAMEVEC_PIN_TIMING : 0);
    pin_.addr = reinterpret_cast<uintptr_t>(memory.address);
    pin_.length = memory.length;
    unpin_.size = sizeof unpin_;
    unpin_.flags = timed ? FRAMEVEC_UNPIN_TIMING : 0;
    return true;
  }
  bool Acquire() {
    return ioctl(vector_.get(), FRAMEVEC_IOC_PIN, &pin_) == 0 ||
           this->Failed("ioctl(FRAMEVEC_IOC_PIN)");
  }
  bool Release() {
    return ioctl(vector_.get(), FRAMEVEC_IOC_UNPIN, &unpin_) == 0 ||
           this->Failed("ioctl(FRAMEVEC_IOC_UNPIN)");
  }
  void Details(double* samples) const {
    if constexpr (timed) {
      samples[0] = static_cast<double>(pin_.gup_ns);
      samples[1] = static_cast<double>(pin_.call_ns);
      samples[2] = static_cast<double>(unpin_.gup_ns);
      samples[3] = static_cast<double>(unpin_.call_ns);
    }
  }

 private:
  UniqueFd vector_;
  framevec_pin pin_{};
  framevec_unpin unpin_{};
};

}  // namespace

std::unique_ptr<Peer> OpenFramevec(const Memory& memory, Failure* failure) {
  return Open<Framevec<false>>(memory, failure);
}

std::unique_ptr<Peer> OpenFramevecTimed(const Memory& memory, Failure* failure) {
  return Open<Framevec<true>>(memory, failure);
}

}  // namespace framevec::peers
