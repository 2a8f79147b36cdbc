// SPDX-License-Identifier: MIT
#ifndef FRAMEVEC_VIEW_H_
#define FRAMEVEC_VIEW_H_

#include <napi.h>

#include <cstddef>
#include <cstdint>

namespace framevec {

// The bytes behind a typed array or DataView, as the runtime tells them at this moment: an address
// never comes from JavaScript. Good until JavaScript runs again. A detached view has no bytes.
struct View {
  uintptr_t address = 0;
  size_t length = 0;

  // False for a value that is neither.
  static bool Of(napi_env env, napi_value value, View* view);
};

}  // namespace framevec

#endif  // FRAMEVEC_VIEW_H_
