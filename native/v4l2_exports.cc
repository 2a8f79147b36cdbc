// SPDX-License-Identifier: MIT
#include "v4l2_exports.h"

#include <array>
#include <string>

#include "arguments.h"
#include "v4l2.h"

namespace framevec {
namespace {

using Napi::CallbackInfo;
using Napi::Value;

V4l2Table& Devices(const CallbackInfo& info) { return EnvironmentOf(info).v4l2; }

Value Open(const CallbackInfo& info) {
  std::string path;
  if (!Get(info, 0, &path)) return Answer(info, kREFUSED_BAD_ARGUMENT);
  return Answer(info, Devices(info).Open(path));
}

Value Close(const CallbackInfo& info) {
  int32_t handle;
  if (!Get(info, 0, &handle)) return Answer(info, kREFUSED_BAD_ARGUMENT);
  return Answer(info, Devices(info).Close(handle));
}

Value QueryCapabilities(const CallbackInfo& info) {
  int32_t handle;
  if (!Get(info, 0, &handle)) return Answer(info, kREFUSED_BAD_ARGUMENT);
  return Answer(info, Devices(info).QueryCapabilities(handle));
}

Value EnumFormat(const CallbackInfo& info) {
  int32_t handle;
  uint32_t type, index;
  if (!Get(info, 0, &handle) || !Get(info, 1, &type) || !Get(info, 2, &index)) {
    return Answer(info, kREFUSED_BAD_ARGUMENT);
  }
  return Answer(info, Devices(info).EnumFormat(handle, type, index));
}

// Those that take a device and a buffer type.
template <int (V4l2Table::*method)(int32_t, uint32_t)>
Value OfType(const CallbackInfo& info) {
  int32_t handle;
  uint32_t type;
  if (!Get(info, 0, &handle) || !Get(info, 1, &type)) return Answer(info, kREFUSED_BAD_ARGUMENT);
  return Answer(info, (Devices(info).*method)(handle, type));
}

Value RequestBuffers(const CallbackInfo& info) {
  int32_t handle;
  uint32_t type, count;
  if (!Get(info, 0, &handle) || !Get(info, 1, &type) || !Get(info, 2, &count)) {
    return Answer(info, kREFUSED_BAD_ARGUMENT);
  }
  return Answer(info, Devices(info).RequestBuffers(handle, type, count));
}

// queue(handle, type, index, flags, plane, ...)
Value Queue(const CallbackInfo& info) {
  constexpr size_t kFirst = 4;
  int32_t handle;
  uint32_t type, index, flags;
  if (!Get(info, 0, &handle) || !Get(info, 1, &type) || !Get(info, 2, &index) ||
      !Get(info, 3, &flags) || info.Length() < kFirst ||
      info.Length() > kFirst + VIDEO_MAX_PLANES) {
    return Answer(info, kREFUSED_BAD_ARGUMENT);
  }
  std::array<View, VIDEO_MAX_PLANES> views;
  const auto planes = static_cast<uint32_t>(info.Length() - kFirst);
  for (uint32_t plane = 0; plane < planes; ++plane) {
    if (!Get(info, kFirst + plane, &views[plane])) return Answer(info, kREFUSED_BAD_ARGUMENT);
  }
  return Answer(info, Devices(info).Queue(handle, type, index, flags, views.data(), planes));
}

Value Stream(const CallbackInfo& info) {
  int32_t handle, on;
  uint32_t type;
  if (!Get(info, 0, &handle) || !Get(info, 1, &type) || !Get(info, 2, &on)) {
    return Answer(info, kREFUSED_BAD_ARGUMENT);
  }
  return Answer(info, Devices(info).Stream(handle, type, on != 0));
}

// wait(handle, output, ready)
Value Wait(const CallbackInfo& info) {
  int32_t handle, output;
  if (!Get(info, 0, &handle) || !Get(info, 1, &output) || !info[2].IsFunction()) {
    return Answer(info, kREFUSED_BAD_ARGUMENT);
  }
  return Answer(info,
                Devices(info).Wait(info.Env(), handle, output != 0, info[2].As<Napi::Function>()));
}

// A string, or a refusal.
Value Text(const CallbackInfo& info) {
  uint32_t which;
  if (!Get(info, 0, &which) || which >= kTextCount) return Answer(info, kREFUSED_BAD_ARGUMENT);
  return Napi::String::New(info.Env(), Devices(info).Text(static_cast<V4l2Text>(which)));
}

}  // namespace

void ExportV4l2(Napi::Object exports, Environment* environment) {
  const Napi::Env env = exports.Env();
  Napi::Object v4l2 = Napi::Object::New(env);
  Napi::ArrayBuffer memory = Napi::ArrayBuffer::New(env, kV4l2FieldCount * sizeof(double));
  if (env.IsExceptionPending()) return;
  environment->v4l2.Attach(static_cast<double*>(memory.Data()));
  environment->v4l2_memory = Napi::Persistent(memory);
  v4l2.Set("exchange", Napi::Float64Array::New(env, kV4l2FieldCount, memory, 0));

  // What lib/v4l2/native.ts repeats as constants; a test compares them.
  Napi::Object fields = Napi::Object::New(env);
#define X(name) fields.Set(#name, Napi::Number::New(env, kV4L2_##name));
  FRAMEVEC_V4L2_FIELDS(X)
#undef X
  v4l2.Set("fields", fields);
  v4l2.Set("planeFields", Napi::Number::New(env, kV4l2PlaneFields));
  Napi::Object header = Napi::Object::New(env);
#define X(name) header.Set(#name, Napi::Number::New(env, name));
  X(V4L2_BUF_TYPE_VIDEO_CAPTURE)
  X(V4L2_BUF_TYPE_VIDEO_OUTPUT)
  X(V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE)
  X(V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE)
  X(V4L2_CAP_VIDEO_CAPTURE)
  X(V4L2_CAP_VIDEO_OUTPUT)
  X(V4L2_CAP_VIDEO_CAPTURE_MPLANE)
  X(V4L2_CAP_VIDEO_OUTPUT_MPLANE)
  X(V4L2_CAP_VIDEO_M2M)
  X(V4L2_CAP_VIDEO_M2M_MPLANE)
  X(V4L2_CAP_STREAMING)
  X(V4L2_CAP_READWRITE)
  X(V4L2_FMT_FLAG_COMPRESSED)
  X(V4L2_FMT_FLAG_EMULATED)
  X(V4L2_BUF_FLAG_ERROR)
  X(V4L2_FIELD_ANY)
  X(V4L2_FIELD_NONE)
  X(VIDEO_MAX_PLANES)
  X(VIDEO_MAX_FRAME)
#undef X
  v4l2.Set("header", header);

  Export<Open>(v4l2, "open", environment);
  Export<Close>(v4l2, "close", environment);
  Export<QueryCapabilities>(v4l2, "queryCapabilities", environment);
  Export<EnumFormat>(v4l2, "enumFormat", environment);
  Export<OfType<&V4l2Table::GetFormat>>(v4l2, "getFormat", environment);
  Export<OfType<&V4l2Table::SetFormat>>(v4l2, "setFormat", environment);
  Export<OfType<&V4l2Table::SetInterval>>(v4l2, "setInterval", environment);
  Export<RequestBuffers>(v4l2, "requestBuffers", environment);
  Export<Queue>(v4l2, "queue", environment);
  Export<OfType<&V4l2Table::Dequeue>>(v4l2, "dequeue", environment);
  Export<Stream>(v4l2, "stream", environment);
  Export<Wait>(v4l2, "wait", environment);
  Export<Text>(v4l2, "text", environment);
  exports.Set("v4l2", v4l2);
}

}  // namespace framevec
