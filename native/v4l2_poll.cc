// SPDX-License-Identifier: MIT
#include "v4l2_poll.h"

#include <cerrno>
#include <utility>

namespace framevec {

V4l2Poll::Owner V4l2Poll::Make(napi_env env, int fd, int* error) {
  uv_loop_t* loop = nullptr;
  if (napi_get_uv_event_loop(env, &loop) != napi_ok) {
    *error = -ENOTSUP;
    return nullptr;
  }
  auto* poll = new V4l2Poll(env);
  *error = uv_poll_init(loop, &poll->handle_, fd);
  if (*error < 0) {
    delete poll;
    return nullptr;
  }
  poll->handle_.data = poll;
  if (napi_add_async_cleanup_hook(env, OnEnvironmentEnds, poll, &poll->hook_) != napi_ok) {
    *error = -ENOTSUP;
    poll->Released();
    return nullptr;
  }
  return Owner(poll);
}

int V4l2Poll::Wait(bool output, Napi::Function ready) {
  if (closing_) return -ECANCELED;
  if (!ready_.IsEmpty()) return -EBUSY;
  const int status = uv_poll_start(&handle_, output ? UV_WRITABLE : UV_READABLE, OnReady);
  if (status == 0) ready_ = Napi::Persistent(ready);
  return status;
}

void V4l2Poll::OnReady(uv_poll_t* handle, int status, int) {
  auto* poll = static_cast<V4l2Poll*>(handle->data);
  uv_poll_stop(handle);
  const Napi::Env env(poll->env_);
  Napi::HandleScope scope(env);
  // What is called may wait again.
  Napi::FunctionReference ready = std::move(poll->ready_);
  poll->ready_ = Napi::FunctionReference();
  ready.MakeCallback(env.Global(), {Napi::Number::New(env, status)});
  // It settles a promise, which does not throw; a worker that is being terminated may.
  if (env.IsExceptionPending()) env.GetAndClearPendingException();
}

void V4l2Poll::OnEnvironmentEnds(napi_async_cleanup_hook_handle, void* poll) {
  static_cast<V4l2Poll*>(poll)->Close();
}

void V4l2Poll::Close() {
  if (std::exchange(closing_, true)) return;
  ready_.Reset();
  uv_close(reinterpret_cast<uv_handle_t*>(&handle_), OnClosed);
}

void V4l2Poll::OnClosed(uv_handle_t* handle) {
  auto* poll = static_cast<V4l2Poll*>(handle->data);
  // Fails for a null hook only, which was never added.
  if (poll->hook_ != nullptr) napi_remove_async_cleanup_hook(poll->hook_);
  poll->closed_ = true;
  if (poll->released_) delete poll;
}

void V4l2Poll::Released() {
  released_ = true;
  Close();
  if (closed_) delete this;
}

}  // namespace framevec
