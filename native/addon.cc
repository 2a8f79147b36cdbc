// SPDX-License-Identifier: MIT
//
// What lib/addon.ts sees: functions of numbers and views that answer with a number (exchange.h).
// They convert and check, and do nothing else. Nothing here throws: lib/ words the errors.
#include <napi.h>

#include <exception>
#include <memory>

#include "../kmod/uapi/framevec.h"
#include "arguments.h"
#include "environment.h"
#include "pin_job.h"
#include "registers.h"
#include "v4l2_exports.h"

namespace framevec {
namespace {

using Napi::CallbackInfo;
using Napi::Value;

Value OpenDevice(const CallbackInfo& info) {
  return Answer(info, EnvironmentOf(info).device.Open());
}

Value CloseDevice(const CallbackInfo& info) {
  EnvironmentOf(info).device.Close();
  return Answer(info, 0);
}

Value Info(const CallbackInfo& info) {
  Environment& env = EnvironmentOf(info);
  int answer = env.device.Info(&env.exchange);
  if (answer < 0 && env.device.Reopen()) answer = env.device.Info(&env.exchange);
  return Answer(info, answer);
}

Value Create(const CallbackInfo& info) {
  Environment& env = EnvironmentOf(info);
  uint64_t capacity;
  if (!Get(info, 0, &capacity)) return Answer(info, kREFUSED_BAD_ARGUMENT);
  int answer = env.vectors.Create(env.device.fd(), capacity);
  if (answer < 0 && env.device.Reopen()) answer = env.vectors.Create(env.device.fd(), capacity);
  return Answer(info, answer);
}

// The fast ones: see exchange.h.
Value Pin(const CallbackInfo& info) {
  View view;
  if (!Get(info, 0, &view)) return Answer(info, kREFUSED_BAD_ARGUMENT);
  return Answer(info, EnvironmentOf(info).vectors.Pin(view));
}

// Of the view and a function for the answer.
Value PinAsync(const CallbackInfo& info) {
  if (!info[1].IsFunction()) return Answer(info, kREFUSED_BAD_ARGUMENT);
  return Answer(info, PinJob::Start(info.Env(), &EnvironmentOf(info).vectors, info[0],
                                    info[1].As<Napi::Function>()));
}

Value Unpin(const CallbackInfo& info) { return Answer(info, EnvironmentOf(info).vectors.Unpin()); }

Value Stat(const CallbackInfo& info) {
  int32_t handle;
  if (!Get(info, 0, &handle)) return Answer(info, kREFUSED_BAD_ARGUMENT);
  return Answer(info, EnvironmentOf(info).vectors.Stat(handle));
}

Value ReadPfns(const CallbackInfo& info) {
  int32_t handle;
  View into;
  uint64_t first, count;
  if (!Get(info, 0, &handle) || !Get(info, 1, &into) || !Get(info, 2, &first) ||
      !Get(info, 3, &count)) {
    return Answer(info, kREFUSED_BAD_ARGUMENT);
  }
  return Answer(info, EnvironmentOf(info).vectors.ReadPfns(handle, into, first, count));
}

// Without an array for the frame numbers, undefined in its place.
Value Extents(const CallbackInfo& info) {
  int32_t handle;
  View pfns, counts;
  uint64_t first;
  if (!Get(info, 0, &handle) || !Get(info, 2, &counts) || !Get(info, 3, &first) ||
      (!info[1].IsUndefined() && (!Get(info, 1, &pfns) || pfns.address == 0))) {
    return Answer(info, kREFUSED_BAD_ARGUMENT);
  }
  return Answer(info, EnvironmentOf(info).vectors.Extents(handle, pfns, counts, first));
}

template <unsigned long request>
Value Convert(const CallbackInfo& info) {
  int32_t handle;
  if (!Get(info, 0, &handle)) return Answer(info, kREFUSED_BAD_ARGUMENT);
  return Answer(info, EnvironmentOf(info).vectors.Convert(handle, request));
}

Value Read(const CallbackInfo& info) {
  int32_t handle;
  View into;
  uint64_t position;
  if (!Get(info, 0, &handle) || !Get(info, 1, &into) || !Get(info, 2, &position)) {
    return Answer(info, kREFUSED_BAD_ARGUMENT);
  }
  return Answer(info, EnvironmentOf(info).vectors.Read(handle, into, position));
}

Value Write(const CallbackInfo& info) {
  int32_t handle;
  View from;
  uint64_t position;
  if (!Get(info, 0, &handle) || !Get(info, 1, &from) || !Get(info, 2, &position)) {
    return Answer(info, kREFUSED_BAD_ARGUMENT);
  }
  return Answer(info, EnvironmentOf(info).vectors.Write(handle, from, position));
}

Value Watch(const CallbackInfo& info) {
  int32_t handle;
  if (!Get(info, 0, &handle) || !info[1].IsFunction()) return Answer(info, kREFUSED_BAD_ARGUMENT);
  return Answer(
      info, EnvironmentOf(info).vectors.Watch(info.Env(), handle, info[1].As<Napi::Function>()));
}

Value Close(const CallbackInfo& info) {
  int32_t handle;
  if (!Get(info, 0, &handle)) return Answer(info, kREFUSED_BAD_ARGUMENT);
  return Answer(info, EnvironmentOf(info).vectors.Close(handle));
}

Value Descriptor(const CallbackInfo& info) {
  int32_t handle;
  if (!Get(info, 0, &handle)) return Answer(info, kREFUSED_BAD_ARGUMENT);
  return Answer(info, EnvironmentOf(info).vectors.Descriptor(handle));
}

// An ArrayBuffer, or a number that tells why not.
Value Allocate(const CallbackInfo& info) {
  Environment& env = EnvironmentOf(info);
  uint64_t length;
  int32_t huge;
  int32_t memfd;
  if (!Get(info, 0, &length) || length == 0 || !Get(info, 1, &huge) || huge < kHugeLeave ||
      huge > kHuge1G || !Get(info, 2, &memfd)) {
    return Answer(info, kREFUSED_BAD_ARGUMENT);
  }
  napi_value buffer = nullptr;
  const int status = env.regions.Allocate(info.Env(), length, static_cast<HugePages>(huge),
                                          memfd != 0, &env.exchange, &buffer);
  return status < 0 ? Answer(info, status) : Value(info.Env(), buffer);
}

// Likewise.
Value Map(const CallbackInfo& info) {
  Environment& env = EnvironmentOf(info);
  int32_t fd;
  uint64_t offset, length;
  int32_t mode;
  if (!Get(info, 0, &fd) || !Get(info, 1, &offset) || !Get(info, 2, &length) || length == 0 ||
      !Get(info, 3, &mode) || mode < kMapRead || mode > kMapCopy) {
    return Answer(info, kREFUSED_BAD_ARGUMENT);
  }
  napi_value buffer = nullptr;
  const int status = env.regions.Map(info.Env(), fd, offset, length, static_cast<MapMode>(mode),
                                     &env.exchange, &buffer);
  return status < 0 ? Answer(info, status) : Value(info.Env(), buffer);
}

template <int access(const Region*, uint64_t, uint32_t, Exchange*)>
Value Register(const CallbackInfo& info) {
  Environment& env = EnvironmentOf(info);
  int32_t handle;
  uint64_t offset;
  uint32_t width;
  if (!Get(info, 0, &handle) || !Get(info, 1, &offset) || !Get(info, 2, &width)) {
    return Answer(info, kREFUSED_BAD_ARGUMENT);
  }
  return Answer(info, access(env.regions.Find(handle), offset, width, &env.exchange));
}

Value CloseRegion(const CallbackInfo& info) {
  int32_t handle, unseen;
  if (!Get(info, 0, &handle) || !Get(info, 1, &unseen)) {
    return Answer(info, kREFUSED_BAD_ARGUMENT);
  }
  return Answer(info, EnvironmentOf(info).regions.Close(handle, unseen != 0));
}

Value DisownRegion(const CallbackInfo& info) {
  int32_t handle;
  if (!Get(info, 0, &handle)) return Answer(info, kREFUSED_BAD_ARGUMENT);
  EnvironmentOf(info).regions.Disown(handle);
  return Answer(info, 0);
}

// The region that a view lies in, or -1; or -2 if it lies in none, but starts a page.
Value RegionOf(const CallbackInfo& info) {
  Environment& env = EnvironmentOf(info);
  View view;
  if (!Get(info, 0, &view)) return Answer(info, kREFUSED_BAD_ARGUMENT);
  const int32_t region = env.regions.FindByAddress(view.address);
  const bool starts_page = view.address % env.page_size == 0;
  return Answer(info, region < 0 && starts_page ? -2 : region);
}

// For Node 20, which has no ArrayBuffer.prototype.transfer().
Value Detach(const CallbackInfo& info) {
  return Answer(info, napi_detach_arraybuffer(info.Env(), info[0]) == napi_ok
                          ? 0
                          : int{kREFUSED_BAD_ARGUMENT});
}

Napi::Object Fill(Napi::Env env, Napi::Object exports) {
  auto owned = std::make_unique<Environment>();
  Environment* environment = owned.get();
  env.SetInstanceData(owned.release());

  Napi::ArrayBuffer memory = Napi::ArrayBuffer::New(env, kFieldCount * sizeof(double));
  if (env.IsExceptionPending()) return exports;
  environment->exchange.Attach(static_cast<double*>(memory.Data()));
  environment->exchange_memory = Napi::Persistent(memory);
  exports.Set("exchange", Napi::Float64Array::New(env, kFieldCount, memory, 0));
  exports.Set("pageSize", Napi::Number::New(env, static_cast<double>(environment->page_size)));

  // What lib/addon.ts repeats as constants; a test compares them.
  Napi::Object fields = Napi::Object::New(env);
#define X(name) fields.Set(#name, Napi::Number::New(env, k##name));
  FRAMEVEC_FIELDS(X)
#undef X
  exports.Set("fields", fields);
  Napi::Object refusals = Napi::Object::New(env);
#define X(name) refusals.Set(#name, Napi::Number::New(env, kREFUSED_##name));
  FRAMEVEC_REFUSALS(X)
#undef X
  exports.Set("refusals", refusals);

  Export<OpenDevice>(exports, "openDevice", environment);
  Export<CloseDevice>(exports, "closeDevice", environment);
  Export<Info>(exports, "info", environment);
  Export<Create>(exports, "create", environment);
  Export<Pin>(exports, "pin", environment);
  Export<PinAsync>(exports, "pinAsync", environment);
  Export<Unpin>(exports, "unpin", environment);
  Export<Stat>(exports, "stat", environment);
  Export<ReadPfns>(exports, "readPfns", environment);
  Export<Extents>(exports, "extents", environment);
  Export<Convert<FRAMEVEC_IOC_TO_PAGES>>(exports, "toPages", environment);
  Export<Convert<FRAMEVEC_IOC_TO_PFNS>>(exports, "toPfns", environment);
  Export<Read>(exports, "read", environment);
  Export<Write>(exports, "write", environment);
  Export<Watch>(exports, "watch", environment);
  Export<Close>(exports, "close", environment);
  Export<Descriptor>(exports, "descriptor", environment);
  Export<Allocate>(exports, "allocate", environment);
  Export<Map>(exports, "map", environment);
  Export<Register<ReadRegister>>(exports, "readRegister", environment);
  Export<Register<WriteRegister>>(exports, "writeRegister", environment);
  Export<CloseRegion>(exports, "closeRegion", environment);
  Export<DisownRegion>(exports, "disownRegion", environment);
  Export<RegionOf>(exports, "regionOf", environment);
  Export<Detach>(exports, "detach", environment);
  ExportV4l2(exports, environment);
  return exports;
}

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  try {
    return Fill(env, exports);
  } catch (const std::exception&) {
    Napi::Error::New(env, "no memory").ThrowAsJavaScriptException();
    return exports;
  }
}

}  // namespace

NODE_API_MODULE(framevec, Init)

}  // namespace framevec
