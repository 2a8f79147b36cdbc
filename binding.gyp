{
  'variables': {
    # `make test-asan` builds it with AddressSanitizer, LeakSanitizer and UBSan, `make coverage` with gcov.
    'framevec_instrument%': '',
  },
  'targets': [{
    'target_name': 'framevec',
    'sources': [
      'native/addon.cc',
      'native/descriptors.cc',
      'native/device.cc',
      'native/device_fd.cc',
      'native/frame_vector.cc',
      'native/pin_job.cc',
      'native/poll.cc',
      'native/region.cc',
      'native/registers.cc',
      'native/v4l2.cc',
      'native/v4l2_exports.cc',
      'native/view.cc',
    ],
    'include_dirs': ['<!(node -p "require(\'node-addon-api\').include_dir")'],
    'defines': ['NAPI_VERSION=9', 'NAPI_DISABLE_CPP_EXCEPTIONS', 'NODE_ADDON_API_DISABLE_DEPRECATED'],
    'cflags': ['-Wall', '-Wextra', '-Werror', '-Wno-cast-function-type', '-fvisibility=hidden'],
    # The standard library throws when memory runs out: arguments.h catches that where JavaScript comes in.
    'cflags_cc!': ['-std=gnu++14', '-std=gnu++17', '-std=gnu++20', '-fno-exceptions'],
    'cflags_cc': ['-std=c++17', '-fexceptions', '-fno-rtti', '-fvisibility-inlines-hidden'],
    'conditions': [
      ['framevec_instrument=="asan"', {
        'cflags': ['-fsanitize=address,undefined', '-fno-sanitize=vptr', '-fno-sanitize-recover=undefined', '-fno-omit-frame-pointer', '-g', '-O1'],
        'ldflags': ['-fsanitize=address,undefined'],
      }],
      ['framevec_instrument=="coverage"', {
        'cflags': ['--coverage', '-fprofile-update=atomic', '-O0'],
        'ldflags': ['--coverage'],
      }],
    ],
  }],
}
