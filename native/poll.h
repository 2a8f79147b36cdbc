// SPDX-License-Identifier: MIT
#ifndef FRAMEVEC_POLL_H_
#define FRAMEVEC_POLL_H_

#include <napi.h>
#include <uv.h>

#include <memory>

namespace framevec {

// Waits, in the environment's own event loop, for what poll() tells of a descriptor. A handle of
// libuv ends by a callback of its own, so this outlives whoever owns it until then; the end of the
// environment waits for it too.
class Poll {
 public:
  struct Release {
    void operator()(Poll* poll) const { poll->Released(); }
  };
  using Owner = std::unique_ptr<Poll, Release>;

  Poll(const Poll&) = delete;
  Poll& operator=(const Poll&) = delete;

  // Whether the process goes on for as long as something waits.
  enum class Loop { kKeepAlive, kLetEnd };

  // Null if libuv or Node will not have it: *error is -errno then.
  static Owner Make(napi_env env, int fd, Loop mode, int* error);

  // Calls ready(status) once, after one of the events (UV_READABLE, ...): 0, or -errno of libuv,
  // where the descriptor says that there is an error. 0, -errno, or -EBUSY if it waits already.
  int Wait(int events, Napi::Function ready);

 private:
  explicit Poll(napi_env env) : env_(env) {}
  ~Poll() = default;

  static void OnReady(uv_poll_t* handle, int status, int events);
  static void OnClosed(uv_handle_t* handle);
  static void OnEnvironmentEnds(napi_async_cleanup_hook_handle hook, void* poll);
  void Close();
  void Released();

  napi_env env_;
  uv_poll_t handle_{};
  napi_async_cleanup_hook_handle hook_ = nullptr;
  Napi::FunctionReference ready_;
  bool closing_ = false;
  bool closed_ = false;
  bool released_ = false;
};

}  // namespace framevec

#endif  // FRAMEVEC_POLL_H_
