# What else holds a buffer's frames, for `framevec bench`. Not part of the package's own build.
{
  'targets': [{
    'target_name': 'peers',
    'sources': [
      'addon.cc',
      'af_xdp.cc',
      'floor.cc',
      'framevec.cc',
      'io_uring.cc',
      'mlock.cc',
      'pin_counters.cc',
      'rdma_link.cc',
      'rdma_rxe.cc',
      'udmabuf.cc',
      'v4l2.cc',
      '../view.cc',
    ],
    'include_dirs': ['<!(node -p "require(\'node-addon-api\').include_dir")'],
    'defines': ['NAPI_VERSION=9', 'NAPI_DISABLE_CPP_EXCEPTIONS', 'NODE_ADDON_API_DISABLE_DEPRECATED'],
    'cflags': ['-Wall', '-Wextra', '-Werror', '-Wno-cast-function-type', '-fvisibility=hidden'],
    # As in the package's own: ../arguments.h catches what the standard library throws.
    'cflags_cc!': ['-std=gnu++14', '-std=gnu++17', '-std=gnu++20', '-fno-exceptions'],
    'cflags_cc': ['-std=c++17', '-fexceptions', '-fno-rtti', '-fvisibility-inlines-hidden'],
  }],
}
