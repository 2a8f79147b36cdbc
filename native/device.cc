// SPDX-License-Identifier: MIT
#include "device.h"

#include <fcntl.h>
#include <sys/ioctl.h>

#include <cerrno>

#include "../kmod/uapi/framevec.h"

namespace framevec {

// The header is the module's contract; these are its first published sizes.
static_assert(sizeof(framevec_info) == 40);
static_assert(sizeof(framevec_create) == 56);
static_assert(sizeof(framevec_pin) == 104);
static_assert(sizeof(framevec_unpin) == 32);
static_assert(sizeof(framevec_stat) == 40);
static_assert(sizeof(framevec_read_pfns) == 32);
static_assert(sizeof(framevec_extents) == 56);
static_assert(sizeof(framevec_convert) == 24);

int Device::Open() { return fd_ ? 0 : fd_.Open(FRAMEVEC_DEVICE, O_RDWR); }

bool Device::Reopen() {
  if (!fd_ || fd_.Ours()) return false;
  fd_.Reset();
  return Open() == 0;
}

int Device::Info(Exchange* exchange) const {
  framevec_info info{};
  info.size = sizeof info;
  if (ioctl(fd_.get(), FRAMEVEC_IOC_INFO, &info) < 0) {
    return errno == ENOTTY ? int{kREFUSED_NOT_THE_DEVICE} : -errno;
  }
  exchange->Set(kABI, info.abi);
  exchange->Set(kPAGE_SIZE, info.page_size);
  exchange->Set(kMAX_FRAMES, uint64_t{info.max_frames});
  exchange->Set(kFEATURES, uint64_t{info.features});
  exchange->Set(kAPERTURE_SIZE, uint64_t{info.aperture_size});
  return 0;
}

}  // namespace framevec
