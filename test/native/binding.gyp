{
  'target_defaults': {
    'include_dirs': ['<!(node -p "require(\'node-addon-api\').include_dir")'],
    'defines': ['NAPI_VERSION=9', 'NAPI_DISABLE_CPP_EXCEPTIONS'],
    'cflags': ['-Wall', '-Wextra', '-Werror', '-Wno-cast-function-type'],
    'cflags_cc!': ['-std=gnu++14', '-std=gnu++17', '-std=gnu++20', '-fno-exceptions'],
  },
  'targets': [{
    'target_name': 'raw',
    'sources': ['raw.cc'],
    'cflags_cc': ['-std=c++17', '-fno-exceptions'],
  }, {
    'target_name': 'new_fails',
    'sources': ['new_fails.cc'],
    'cflags_cc': ['-std=c++17', '-fexceptions', '-fno-builtin'],
    'libraries': ['-ldl'],
  }],
}
