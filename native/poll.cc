// SPDX-License-Identifier: MIT
#include "poll.h"

#include <cerrno>
#include <utility>

#include "callback.h"

namespace framevec {

Poll::Owner Poll::Make(napi_env env, int fd, Loop mode, int* error) {
  uv_loop_t* loop = nullptr;
  if (napi_get_uv_event_loop(env, &loop) != napi_ok) {
    *error = -ENOTSUP;
    return nullptr;
  }
  auto* poll = new Poll(env);
  *error = uv_poll_init(loop, &poll->handle_, fd);
  if (*error < 0) {
    delete poll;
    return nullptr;
  }
  poll->handle_.data = poll;
  if (mode == Loop::kLetEnd) uv_unref(reinterpret_cast<uv_handle_t*>(&poll->handle_));
  if (napi_add_async_cleanup_hook(env, OnEnvironmentEnds, poll, &poll->hook_) != napi_ok) {
    *error = -ENOTSUP;
    poll->Released();
    return nullptr;
  }
  return Owner(poll);
}

int Poll::Wait(int events, Napi::Function ready) {
  if (closing_) return -ECANCELED;
  if (!ready_.IsEmpty()) return -EBUSY;
  const int status = uv_poll_start(&handle_, events, OnReady);
  if (status == 0) ready_ = Napi::Persistent(ready);
  return status;
}

void Poll::OnReady(uv_poll_t* handle, int status, int) {
  auto* poll = static_cast<Poll*>(handle->data);
  uv_poll_stop(handle);
  const Napi::Env env(poll->env_);
  Napi::HandleScope scope(env);
  // What is called may wait again.
  Napi::FunctionReference ready = std::move(poll->ready_);
  poll->ready_ = Napi::FunctionReference();
  CallBack(env, ready, status);
}

void Poll::OnEnvironmentEnds(napi_async_cleanup_hook_handle, void* poll) {
  static_cast<Poll*>(poll)->Close();
}

void Poll::Close() {
  if (std::exchange(closing_, true)) return;
  ready_.Reset();
  uv_close(reinterpret_cast<uv_handle_t*>(&handle_), OnClosed);
}

void Poll::OnClosed(uv_handle_t* handle) {
  auto* poll = static_cast<Poll*>(handle->data);
  // Fails for a null hook only, which was never added.
  if (poll->hook_ != nullptr) napi_remove_async_cleanup_hook(poll->hook_);
  poll->closed_ = true;
  if (poll->released_) delete poll;
}

void Poll::Released() {
  released_ = true;
  Close();
  if (closed_) delete this;
}

}  // namespace framevec
