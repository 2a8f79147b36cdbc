# framevec. Each of these is a fine first command on a fresh clone:
#
#   make demo           the main job, in a VM: pin a buffer, look at its frames
#   make test           every test, on the host and in the VM
#   make check          the linters, for every language here
#   make vm RUN='...'   a shell command in the VM
#   make load, unload   the module, in the kernel that runs here
#
# KERNEL=6.1 chooses the VM's kernel.

SHELL  := /bin/sh
KERNEL ?= 6.1
RUN    ?= uname -a

step := @.ci/step
fv   := node dist/lib/cli/main.js

node_headers := $(shell node -p 'path.resolve(process.execPath, "../../include/node")' 2>/dev/null)
nodedir      := $(if $(wildcard $(node_headers)/node_api.h),--nodedir=$(abspath $(node_headers)/../..))

native_src  := $(wildcard native/*.cc native/*.h) binding.gyp kmod/uapi/framevec.h
raw_src     := test/native/raw.cc test/native/binding.gyp
ts_src      := $(shell find lib test -name '*.ts') tsconfig.json

.PHONY: all build demo test check check-kmod check-native check-lib vm vm-run vm-ready load unload clean packages

all: build

# --- building ---------------------------------------------------------------

build: build/Release/framevec.node dist/.tsbuildinfo

packages:
	@.ci/packages python3 g++ make

node_modules/.package-lock.json: package.json package-lock.json
	$(step) "npm ci" npm ci --ignore-scripts
	@touch $@

build/Release/framevec.node: $(native_src) | packages node_modules/.package-lock.json
	$(step) "node-gyp: the addon" sh -c 'npx node-gyp configure $(nodedir) && npx node-gyp build'
	@touch $@

test/native/build/Release/raw.node: $(raw_src) | packages node_modules/.package-lock.json
	$(step) "node-gyp: raw system calls for the tests" sh -c 'cd test/native && npx node-gyp configure $(nodedir) && npx node-gyp build'
	@touch $@

dist/.tsbuildinfo: $(ts_src) | node_modules/.package-lock.json
	$(step) "tsc: the library" npx tsc
	@touch $@

# --- the VM -----------------------------------------------------------------

vm-ready: build
	@$(fv) vm --kernel $(KERNEL) --prepare --install

# make itself says 2 for every failure; the command's own status comes out by way of a file.
vm_status := build/vm-status
ifneq ($(filter vm,$(MAKECMDGOALS)),)
-load build/exit_with.so
endif

build/exit_with.so: .ci/exit_with.c
	@mkdir -p $(@D)
	@$(CC) -shared -fPIC -O1 -o $@ $<

vm-run: vm-ready
	@$(fv) vm --quiet --kernel $(KERNEL) -- sh -c "$$RUN"; echo $$? >$(vm_status)
export RUN

vm: vm-run
	$(exit_with $(vm_status))
	@exit $$(cat $(vm_status))

demo: vm-ready
	@$(fv) vm --kernel $(KERNEL) --memory 1G -- node dist/lib/cli/main.js demo

test: vm-ready test/native/build/Release/raw.node
	@.ci/packages v4l-utils
	@node dist/test/run.js --kernel $(KERNEL)

# --- checks -----------------------------------------------------------------

check: check-lib check-native check-kmod

check-lib: dist/.tsbuildinfo
	$(step) "eslint" npx eslint .

check-native: node_modules/.package-lock.json
	@.ci/packages clang-format
	$(step) "clang-format" clang-format --dry-run --Werror $(wildcard native/*.cc native/*.h test/native/*.cc)

check-kmod: vm-ready
	@.ci/packages sparse perl
	@node dist/test/check-kmod.js --kernel $(KERNEL)

# --- on this machine's kernel -----------------------------------------------

load:
	$(step) "build framevec.ko for $$(uname -r)" $(MAKE) -C kmod
	$(step) "insmod" $(if $(filter 0,$(shell id -u)),,sudo) insmod kmod/framevec.ko $(PARAMS)
	@ls -l /dev/framevec

unload:
	$(step) "rmmod" $(if $(filter 0,$(shell id -u)),,sudo) rmmod framevec

clean:
	rm -rf build dist
	@if [ -d /lib/modules/$$(uname -r)/build ]; then $(MAKE) -C kmod clean; fi
