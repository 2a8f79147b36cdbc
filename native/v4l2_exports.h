// SPDX-License-Identifier: MIT
#ifndef FRAMEVEC_V4L2_EXPORTS_H_
#define FRAMEVEC_V4L2_EXPORTS_H_

#include <napi.h>

#include "environment.h"

namespace framevec {

// What lib/v4l2/native.ts sees: the object `v4l2` of the addon.
void ExportV4l2(Napi::Object exports, Environment* environment);

}  // namespace framevec

#endif  // FRAMEVEC_V4L2_EXPORTS_H_
