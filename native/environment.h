// SPDX-License-Identifier: MIT
#ifndef FRAMEVEC_ENVIRONMENT_H_
#define FRAMEVEC_ENVIRONMENT_H_

#include <napi.h>
#include <unistd.h>

#include "device.h"
#include "exchange.h"
#include "frame_vector.h"
#include "region.h"
#include "v4l2.h"

namespace framevec {

// All that the addon has in one Node environment (the main thread, or a worker): its instance data.
// Its end closes every descriptor, and so unpins, before it lets the regions go.
struct Environment {
  size_t page_size = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  Napi::Reference<Napi::ArrayBuffer> exchange_memory;
  Exchange exchange;
  Device device;
  RegionTable regions{page_size};
  FrameVectorTable vectors{page_size, &regions, &exchange};
  Napi::Reference<Napi::ArrayBuffer> v4l2_memory;
  V4l2Table v4l2{page_size, &regions};
};

// The environment that Export() was given.
inline Environment& EnvironmentOf(const Napi::CallbackInfo& info) {
  return *static_cast<Environment*>(info.Data());
}

}  // namespace framevec

#endif  // FRAMEVEC_ENVIRONMENT_H_
