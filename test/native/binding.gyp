{
  'targets': [{
    'target_name': 'raw',
    'sources': ['raw.cc'],
    'include_dirs': ['<!(node -p "require(\'node-addon-api\').include_dir")'],
    'defines': ['NAPI_VERSION=9', 'NAPI_DISABLE_CPP_EXCEPTIONS'],
    'cflags': ['-Wall', '-Wextra', '-Werror', '-Wno-cast-function-type'],
    'cflags_cc!': ['-std=gnu++14', '-std=gnu++17', '-std=gnu++20'],
    'cflags_cc': ['-std=c++17', '-fno-exceptions'],
  }],
}
