// SPDX-License-Identifier: MIT
//
// A buffer of a video device that takes pointers of the user. vivid, for it is virtual: no hardware
// writes to the memory, and its format may be made so small that a page will do. However small the
// picture, videobuf2 pins the whole buffer, and maps it for the driver. It never streams, for
// STREAMOFF lets no frame go: that is what REQBUFS(0) does.
#include <fcntl.h>
#include <linux/videodev2.h>
#include <sys/file.h>
#include <sys/ioctl.h>

#include <cstring>
#include <optional>
#include <string>

#include "../unique_fd.h"
#include "peer.h"

namespace framevec::peers {
namespace {

constexpr int kMostDevices = 64;
constexpr uint32_t kSmallest = 16;  // pixels; the driver makes it what it can

class V4l2 final : public Timed<V4l2> {
 public:
  V4l2() = default;
  V4l2(const V4l2&) = delete;
  V4l2& operator=(const V4l2&) = delete;
  // Leaves the device as it was found.
  ~V4l2() override {
    if (!device_) return;
    Buffers(0);
    if (input_before_) Call(VIDIOC_S_INPUT, &*input_before_);
    if (format_before_) Call(VIDIOC_S_FMT, &*format_before_);
  }

  bool Open(const Memory& memory) {
    // A user pointer's length has 32 bits.
    if (memory.length > UINT32_MAX) return Failed("ioctl(VIDIOC_QBUF)", EINVAL);
    buffer_.type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
    buffer_.memory = V4L2_MEMORY_USERPTR;
    buffer_.m.userptr = reinterpret_cast<uintptr_t>(memory.address);
    buffer_.length = static_cast<uint32_t>(memory.length);
    return Find() && SetFormat();
  }
  bool Prepare() { return Buffers(1) || Failed("ioctl(VIDIOC_REQBUFS)"); }
  bool Acquire() { return Call(VIDIOC_QBUF, &buffer_) || Failed("ioctl(VIDIOC_QBUF)"); }
  bool Release() { return Buffers(0) || Failed("ioctl(VIDIOC_REQBUFS, 0)"); }

 private:
  bool Call(unsigned long request, void* argument) const {
    return ioctl(device_.get(), request, argument) == 0;
  }

  bool Buffers(uint32_t count) const {
    v4l2_requestbuffers request{};
    request.count = count;
    request.type = buffer_.type;
    request.memory = buffer_.memory;
    return Call(VIDIOC_REQBUFS, &request);
  }

  // The first capture device of vivid's that takes user pointers and is not in use.
  bool Find() {
    bool told = Failed("no capture device of vivid", ENODEV);
    for (int i = 0; i < kMostDevices; i++) {
      const std::string path = "/dev/video" + std::to_string(i);
      device_ = UniqueFd(open(path.c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK));
      v4l2_capability capability{};
      if (!device_ || !Call(VIDIOC_QUERYCAP, &capability) ||
          strcmp(reinterpret_cast<char*>(capability.driver), "vivid") != 0 ||
          (capability.device_caps & V4L2_CAP_VIDEO_CAPTURE) == 0) {
        continue;
      }
      // A session changes the format, so a device is for one.
      if (flock(device_.get(), LOCK_EX | LOCK_NB) != 0) {
        told = Failed("another session has the device: flock", EBUSY);
        continue;
      }
      if (Buffers(1)) return Buffers(0) || Failed("ioctl(VIDIOC_REQBUFS, 0)");
      told = Failed("ioctl(VIDIOC_REQBUFS, V4L2_MEMORY_USERPTR)");
    }
    device_.Reset();
    return told;
  }

  // The smallest picture that an input has: a webcam has few sizes, a TV or HDMI input scales.
  bool SetFormat() {
    v4l2_format before{};
    before.type = buffer_.type;
    int input_before;
    if (!Call(VIDIOC_G_FMT, &before)) return Failed("ioctl(VIDIOC_G_FMT)");
    if (!Call(VIDIOC_G_INPUT, &input_before)) return Failed("ioctl(VIDIOC_G_INPUT)");
    format_before_ = before;
    input_before_ = input_before;
    int best = input_before;
    uint32_t least = UINT32_MAX;
    v4l2_input input{};
    for (; Call(VIDIOC_ENUMINPUT, &input); input.index++) {
      int index = static_cast<int>(input.index);
      uint32_t bytes;
      if (!Call(VIDIOC_S_INPUT, &index) || !Shrink(&bytes) || bytes >= least) continue;
      least = bytes;
      best = index;
    }
    if (!Call(VIDIOC_S_INPUT, &best)) return Failed("ioctl(VIDIOC_S_INPUT)");
    return Shrink(&least) || Failed("ioctl(VIDIOC_S_FMT)");
  }

  bool Shrink(uint32_t* bytes) const {
    v4l2_format format{};
    format.type = buffer_.type;
    format.fmt.pix.width = kSmallest;
    format.fmt.pix.height = kSmallest;
    format.fmt.pix.pixelformat = V4L2_PIX_FMT_GREY;
    if (!Call(VIDIOC_S_FMT, &format)) return false;
    *bytes = format.fmt.pix.sizeimage;
    return true;
  }

  UniqueFd device_;
  std::optional<int> input_before_;
  std::optional<v4l2_format> format_before_;
  v4l2_buffer buffer_{};
};

}  // namespace

std::unique_ptr<Peer> OpenV4l2(const Memory& memory, Failure* failure) {
  return Open<V4l2>(memory, failure);
}

}  // namespace framevec::peers
