// SPDX-License-Identifier: MIT
#ifndef FRAMEVEC_PIN_JOB_H_
#define FRAMEVEC_PIN_JOB_H_

#include <napi.h>

#include "frame_vector.h"

namespace framevec {

// A pin on a thread of libuv's pool. For as long as it runs it holds the memory and the view, and
// the vector can't be closed. The end of a worker waits for its jobs.
class PinJob {
 public:
  // As FrameVectorTable::Pin(), with the view as JavaScript has it. 0, -errno or a refusal; if 0,
  // done(answer) is called once, with what Pin() would have answered and left in the exchange.
  static int Start(napi_env env, FrameVectorTable* vectors, Napi::Value view, Napi::Function done);

 private:
  explicit PinJob(FrameVectorTable* vectors) : vectors_(vectors) {}

  static void Run(napi_env env, void* data);
  static void Finish(napi_env env, napi_status status, void* data);

  FrameVectorTable* vectors_;
  PinCall call_;
  RegionPin memory_;
  Napi::ObjectReference view_;
  Napi::FunctionReference done_;
  napi_async_work work_ = nullptr;
};

}  // namespace framevec

#endif  // FRAMEVEC_PIN_JOB_H_
