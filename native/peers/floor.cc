// SPDX-License-Identifier: MIT
//
// What measuring and calling cost: part of every other figure.
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../../kmod/uapi/framevec.h"
#include "../unique_fd.h"
#include "peer.h"

namespace framevec::peers {
namespace {

class Clock final : public Timed<Clock> {
 public:
  bool Open(const Memory&) { return true; }
  bool Acquire() { return true; }
  bool Release() { return true; }
};

class Getppid final : public Timed<Getppid> {
 public:
  bool Open(const Memory&) { return true; }
  bool Acquire() { return Call(); }
  bool Release() { return Call(); }

 private:
  bool Call() { return syscall(SYS_getppid) >= 0 || Failed("getppid"); }
};

class Empty final : public Timed<Empty> {
 public:
  bool Open(const Memory&) {
    device_ = UniqueFd(open(FRAMEVEC_DEVICE, O_RDWR | O_CLOEXEC));
    if (!device_) return Failed("open(" FRAMEVEC_DEVICE ")");
    info_.size = sizeof info_;
    return true;
  }
  bool Acquire() { return Call(); }
  bool Release() { return Call(); }

 private:
  bool Call() {
    return ioctl(device_.get(), FRAMEVEC_IOC_INFO, &info_) == 0 ||
           Failed("ioctl(FRAMEVEC_IOC_INFO)");
  }

  UniqueFd device_;
  framevec_info info_{};
};

// As far into an ioctl as one comes where there is no module.
class BadDescriptor final : public Timed<BadDescriptor> {
 public:
  bool Open(const Memory&) {
    info_.size = sizeof info_;
    return true;
  }
  bool Acquire() { return Call(); }
  bool Release() { return Call(); }

 private:
  bool Call() {
    return (ioctl(-1, FRAMEVEC_IOC_INFO, &info_) < 0 && errno == EBADF) || Failed("ioctl(-1)", EIO);
  }

  framevec_info info_{};
};

}  // namespace

std::unique_ptr<Peer> OpenClock(const Memory& memory, Failure* failure) {
  return Open<Clock>(memory, failure);
}

std::unique_ptr<Peer> OpenGetppid(const Memory& memory, Failure* failure) {
  return Open<Getppid>(memory, failure);
}

std::unique_ptr<Peer> OpenEmpty(const Memory& memory, Failure* failure) {
  return Open<Empty>(memory, failure);
}

std::unique_ptr<Peer> OpenBadDescriptor(const Memory& memory, Failure* failure) {
  return Open<BadDescriptor>(memory, failure);
}

}  // namespace framevec::peers
