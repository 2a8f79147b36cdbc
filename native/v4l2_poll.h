// SPDX-License-Identifier: MIT
#ifndef FRAMEVEC_V4L2_POLL_H_
#define FRAMEVEC_V4L2_POLL_H_

#include <napi.h>
#include <uv.h>

#include <memory>

namespace framevec {

// Waits, in the environment's own event loop, until a video device has a buffer to give back. A
// handle of libuv ends by a callback of its own, so this outlives whoever owns it until then; the
// end of the environment waits for it too.
class V4l2Poll {
 public:
  struct Release {
    void operator()(V4l2Poll* poll) const { poll->Released(); }
  };
  using Owner = std::unique_ptr<V4l2Poll, Release>;

  // Null if libuv or Node will not have it: *error is -errno then.
  static Owner Make(napi_env env, int fd, int* error);

  // Calls ready(status) once: 0, or -errno of libuv, where the device says that there is an error.
  // 0, -errno, or -EBUSY if it waits already.
  int Wait(bool output, Napi::Function ready);

 private:
  explicit V4l2Poll(napi_env env) : env_(env) {}
  ~V4l2Poll() = default;
  V4l2Poll(const V4l2Poll&) = delete;
  V4l2Poll& operator=(const V4l2Poll&) = delete;

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

#endif  // FRAMEVEC_V4L2_POLL_H_
