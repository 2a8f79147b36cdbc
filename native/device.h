// SPDX-License-Identifier: MIT
#ifndef FRAMEVEC_DEVICE_H_
#define FRAMEVEC_DEVICE_H_

#include "device_fd.h"
#include "exchange.h"

namespace framevec {

// /dev/framevec. Opened when it is first needed, once an environment.
class Device {
 public:
  // 0, or -errno of open().
  int Open();
  // Opens it anew if other code has closed its descriptor: whether that was so.
  bool Reopen();
  void Close() { fd_.Reset(); }
  // INFO into the exchange: 0, -errno, or kREFUSED_NOT_THE_DEVICE.
  int Info(Exchange* exchange) const;
  int fd() const { return fd_.get(); }

 private:
  DeviceFd fd_;
};

}  // namespace framevec

#endif  // FRAMEVEC_DEVICE_H_
