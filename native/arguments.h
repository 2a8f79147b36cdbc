// SPDX-License-Identifier: MIT
#ifndef FRAMEVEC_ARGUMENTS_H_
#define FRAMEVEC_ARGUMENTS_H_

#include <napi.h>

#include <cerrno>
#include <exception>
#include <string>

#include "view.h"

namespace framevec {

// What the exported functions have in common: their arguments, of the types that lib/ sends, and
// their answer. False stands for an argument of another type.
inline Napi::Value Answer(const Napi::CallbackInfo& info, int value) {
  napi_value result = nullptr;
  // Can't fail but for a null argument.
  if (napi_create_int32(info.Env(), value, &result) != napi_ok) return Napi::Value();
  return Napi::Value(info.Env(), result);
}

inline bool Get(const Napi::CallbackInfo& info, size_t index, int32_t* out) {
  return napi_get_value_int32(info.Env(), info[index], out) == napi_ok;
}

inline bool Get(const Napi::CallbackInfo& info, size_t index, uint32_t* out) {
  double value;
  if (napi_get_value_double(info.Env(), info[index], &value) != napi_ok) return false;
  if (!(value >= 0 && value <= 4294967295.0)) return false;
  *out = static_cast<uint32_t>(value);
  return true;
}

inline bool Get(const Napi::CallbackInfo& info, size_t index, uint64_t* out) {
  double value;
  if (napi_get_value_double(info.Env(), info[index], &value) != napi_ok) return false;
  if (!(value >= 0 && value <= 9007199254740991.0)) return false;
  *out = static_cast<uint64_t>(value);
  return true;
}

inline bool Get(const Napi::CallbackInfo& info, size_t index, View* out) {
  return View::Of(info.Env(), info[index], out);
}

inline bool Get(const Napi::CallbackInfo& info, size_t index, std::string* out) {
  size_t length = 0;
  if (napi_get_value_string_utf8(info.Env(), info[index], nullptr, 0, &length) != napi_ok) {
    return false;
  }
  out->resize(length);
  // The string has room for the NUL that follows it.
  return napi_get_value_string_utf8(info.Env(), info[index], out->data(), length + 1, &length) ==
         napi_ok;
}

// JavaScript's way in. What the standard library throws, it throws for want of memory.
template <Napi::Value callback(const Napi::CallbackInfo&)>
Napi::Value Guarded(const Napi::CallbackInfo& info) {
  try {
    return callback(info);
  } catch (const std::exception&) {
    return Answer(info, -ENOMEM);
  }
}

// `data` is what the callback finds in its CallbackInfo.
template <Napi::Value callback(const Napi::CallbackInfo&), typename Data>
void Export(Napi::Object exports, const char* name, Data* data) {
  exports.Set(name, Napi::Function::New<Guarded<callback>>(exports.Env(), name, data));
}

}  // namespace framevec

#endif  // FRAMEVEC_ARGUMENTS_H_
