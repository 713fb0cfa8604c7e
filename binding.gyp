# The build without CMake: CPU only, the same sources and flags as CMakeLists.txt. gyp has no flags for single files, so
# each instruction set is a static library of its own.
{
  "variables": {
    "flags": ["-std=c++17", "-O3", "-fPIC", "-fvisibility=hidden", "-fvisibility-inlines-hidden", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math"],
    "read": "node -p \"require('fs').readFileSync('native/sources.txt','utf8').split('\\n').map(line=>line.split(/ +/)).filter(line=>process.argv[1].split(',').includes(line[0])).map(line=>line[1]).join(' ')\""
  },
  "targets": [
    {
      "target_name": "isa_avx2",
      "type": "static_library",
      "sources": ["<!@(<(read) isa)"],
      "defines": ["ISA=avx2"],
      "cflags_cc": ["<@(flags)", "-mavx2", "-mfma"],
      "xcode_settings": {"OTHER_CPLUSPLUSFLAGS": ["<@(flags)", "-mavx2", "-mfma"]}
    },
    {
      "target_name": "isa_avx512",
      "type": "static_library",
      "sources": ["<!@(<(read) isa)"],
      "defines": ["ISA=avx512"],
      "cflags_cc": ["<@(flags)", "-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq", "-mavx2", "-mfma", "-mprefer-vector-width=512"],
      "xcode_settings": {"OTHER_CPLUSPLUSFLAGS": ["<@(flags)", "-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq", "-mavx2", "-mfma", "-mprefer-vector-width=512"]}
    },
    {
      "target_name": "isa_avx512vnni",
      "type": "static_library",
      "sources": ["<!@(<(read) isa)"],
      "defines": ["ISA=avx512vnni"],
      "cflags_cc": ["<@(flags)", "-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq", "-mavx512vnni", "-mavx2", "-mfma", "-mprefer-vector-width=512"],
      "xcode_settings": {"OTHER_CPLUSPLUSFLAGS": ["<@(flags)", "-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq", "-mavx512vnni", "-mavx2", "-mfma", "-mprefer-vector-width=512"]}
    },
    {
      "target_name": "cragru",
      "sources": ["<!@(<(read) core,isa,addon)"],
      "defines": ["NAPI_VERSION=9", "ISA=base"],
      "cflags_cc": ["<@(flags)"],
      "xcode_settings": {"OTHER_CPLUSPLUSFLAGS": ["<@(flags)"]},
      "dependencies": ["<!(node -p \"require('node-addon-api').targets\"):node_addon_api_except"],
      "conditions": [
        ["target_arch=='x64'", {"dependencies": ["isa_avx2", "isa_avx512", "isa_avx512vnni"]}],
        ["OS=='linux'", {"ldflags": ["-static-libgcc", "-static-libstdc++", "-Wl,--exclude-libs,ALL", "-Wl,--gc-sections"]}]
      ]
    }
  ]
}
