// SPDX-License-Identifier: MIT
#ifndef FRAMEVEC_CALLBACK_H_
#define FRAMEVEC_CALLBACK_H_

#include <napi.h>

#include <cstdint>

namespace framevec {

// Calls function(value) from the event loop. A worker that is being terminated can't run it, and
// that is no error.
inline void CallBack(napi_env env, const Napi::FunctionReference& function, int32_t value) {
  napi_value global = nullptr;
  napi_value argument = nullptr;
  napi_value called = function.Value();
  if (called == nullptr || napi_get_global(env, &global) != napi_ok ||
      napi_create_int32(env, value, &argument) != napi_ok) {
    return;
  }
  const napi_status status =
      napi_make_callback(env, nullptr, global, called, 1, &argument, nullptr);
  napi_value thrown = nullptr;
  if (status == napi_pending_exception &&
      napi_get_and_clear_last_exception(env, &thrown) == napi_ok) {
    napi_fatal_exception(env, thrown);
  }
}

}  // namespace framevec

#endif  // FRAMEVEC_CALLBACK_H_
