// SPDX-License-Identifier: MIT
#include "view.h"

namespace framevec {
namespace {

size_t ElementSize(int type) {
  switch (type) {
    case napi_int8_array:
    case napi_uint8_array:
    case napi_uint8_clamped_array:
      return 1;
    case napi_int16_array:
    case napi_uint16_array:
      return 2;
    case napi_int32_array:
    case napi_uint32_array:
    case napi_float32_array:
      return 4;
    case napi_float64_array:
    case napi_bigint64_array:
    case napi_biguint64_array:
      return 8;
    default:
      return 0;
  }
}

}  // namespace

bool View::Of(napi_env env, napi_value value, View* view) {
  void* data = nullptr;
  size_t length = 0;
  // Node-API leaves the type alone if it is newer than itself (Float16Array): see that.
  int unknown = -1;
  auto type = static_cast<napi_typedarray_type>(unknown);
  napi_status status =
      napi_get_typedarray_info(env, value, &type, &length, &data, nullptr, nullptr);
  if (status == napi_ok) {
    size_t size = ElementSize(type);
    if (size == 0) return false;
    length *= size;
  } else {
    status = napi_get_dataview_info(env, value, &length, &data, nullptr, nullptr);
    if (status != napi_ok) return false;
  }
  view->address = reinterpret_cast<uintptr_t>(data);
  view->length = data == nullptr ? 0 : length;
  return true;
}

}  // namespace framevec
