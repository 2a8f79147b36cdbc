// SPDX-License-Identifier: MIT
#include "pin_job.h"

#include <cerrno>
#include <memory>

#include "callback.h"

namespace framevec {

int PinJob::Start(napi_env env, FrameVectorTable* vectors, Napi::Value view, Napi::Function done) {
  View bytes;
  if (!View::Of(env, view, &bytes)) return kREFUSED_BAD_ARGUMENT;
  auto job = std::unique_ptr<PinJob>(new PinJob(vectors));
  const int refused = vectors->Prepare(bytes, &job->call_);
  if (refused != 0) return refused;
  if (job->call_.vector->busy) return -EBUSY;

  napi_value name = nullptr;
  if (napi_create_string_utf8(env, "framevec:pin", NAPI_AUTO_LENGTH, &name) != napi_ok ||
      napi_create_async_work(env, nullptr, name, Run, Finish, job.get(), &job->work_) != napi_ok) {
    return -ENOMEM;
  }
  // All that can fail comes before the work is queued: from then on the job is Finish()'s.
  job->memory_.Hold(job->call_.region);
  job->view_ = Napi::Persistent(view.As<Napi::Object>());
  job->done_ = Napi::Persistent(done);
  if (napi_queue_async_work(env, job->work_) != napi_ok) {
    napi_delete_async_work(env, job->work_);
    return -ENOMEM;
  }
  job->call_.vector->busy = true;
  static_cast<void>(job.release());
  return 0;
}

void PinJob::Run(napi_env, void* data) { static_cast<PinJob*>(data)->call_.Make(); }

void PinJob::Finish(napi_env env, napi_status, void* data) {
  std::unique_ptr<PinJob> job(static_cast<PinJob*>(data));
  napi_delete_async_work(env, job->work_);
  // The table may have moved it since; it is there, for it could not be closed.
  job->call_.vector = job->vectors_->Find(job->call_.handle);
  job->call_.vector->busy = false;
  const int answer = job->vectors_->Finish(job->call_);
  job->memory_.Release();
  Napi::HandleScope scope(env);
  CallBack(env, job->done_, answer);
}

}  // namespace framevec
