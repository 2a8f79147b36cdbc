# framevec. `make help` prints this list. Each command installs what it needs, also on a fresh clone:
#
#   make demo           pin a buffer in a VM and show its frames
#   make test           run every test, on the host and in the VM; ONLY='gup abi' chooses test files
#   make test-matrix    run the VM's tests on every kernel; KERNELS=5.10,7.x-rt and ONLY= choose
#   make test-headers   build the module against the headers of other distributions' kernels
#   make test-node      run the library's tests under each Node; NODES=24,26 and ONLY= choose
#   make test-asan      run the library's tests with the addon under sanitizers
#   make coverage       run every test, and count the lines of library and addon that are executed
#   make test-debug     build a sanitizing kernel once, and run the VM's tests on it
#   make test-mutants   put known faults into the module one by one, and run the tests that have to fail
#   make bench          measure what pinning costs, and the figures of docs/performance.md, in the VM
#   make bench-report   make a page of the last measurement: build/bench-KERNEL.html
#   make check          run the linters of every language and of the documentation
#   make api-report     write the public API to test/types, after a change on purpose
#   make docs           build the library's reference: build/docs/index.html
#   make vm RUN='...'   run a shell command in the VM
#   make load           build the module for this machine's kernel and load it; make unload
#   make install        install the module on this machine with dkms; make uninstall
#   make clean          remove what was built
#
# KERNEL=6.12 chooses the VM's kernel (default: 6.1).

SHELL  := /bin/sh
KERNEL ?= 6.1
RUN    ?= uname -a

step := @.ci/step
fv   := node dist/lib/cli/main.js

node_headers := $(shell node -p 'path.resolve(process.execPath, "../../include/node")' 2>/dev/null)
nodedir      := $(if $(wildcard $(node_headers)/node_api.h),--nodedir=$(abspath $(node_headers)/../..))

native_src  := $(wildcard native/*.cc native/*.h) binding.gyp kmod/uapi/framevec.h
raw_src     := test/native/raw.cc test/native/new_fails.cc test/native/binding.gyp
peers_src   := $(wildcard native/peers/*.cc native/peers/*.h) native/peers/binding.gyp native/view.cc $(wildcard native/*.h) kmod/uapi/framevec.h
ts_src      := $(sort $(shell find lib test -name '*.ts')) tsconfig.json test/browser/tsconfig.json

# What a failed recipe began to write is not what was asked for.
.DELETE_ON_ERROR:

.PHONY: all help api-report bench bench-report build prebuild install uninstall demo test test-matrix test-headers test-node test-asan test-debug test-mutants test-packages debug-packages coverage check check-kmod check-native check-lib check-docs docs vm vm-run vm-ready load unload clean packages always

all: build

help:
	@sed -n '2,/^$$/s/^# \{0,1\}//p' Makefile

# --- building ---------------------------------------------------------------

report_page := dist/lib/bench/report/page/main.js
page_src    := $(wildcard lib/bench/report/page/*)

# Touched when every step has succeeded: tsc writes what it knows for the next time even when it has found errors.
library := dist/.library

build: build/Release/framevec.node $(library) $(report_page)
	@.ci/strays

packages:
	@.ci/packages python3 g++ make

node_modules/.package-lock.json: package.json package-lock.json
	$(step) "npm ci" npm ci --ignore-scripts
	@touch $@

# What `npm pack` puts into the package, so that nobody needs a compiler.
prebuilt := dist/prebuilds/$(shell node -p 'process.platform + "-" + process.arch')-glibc/framevec.node

prebuild: build $(prebuilt)

$(prebuilt): build/Release/framevec.node
	@mkdir -p $(@D)
	$(step) "strip: the prebuilt addon" strip --strip-unneeded -o $@ $<

build/Release/framevec.node: $(native_src) | packages node_modules/.package-lock.json
	$(step) "node-gyp: the addon" sh -c 'npx node-gyp configure $(nodedir) && npx node-gyp build'
	@touch $@

test/native/build/Release/raw.node: $(raw_src) | packages node_modules/.package-lock.json
	$(step) "node-gyp: raw system calls for the tests" sh -c 'cd test/native && npx node-gyp configure $(nodedir) && npx node-gyp build'
	@touch $@

native/peers/build/Release/peers.node: $(peers_src) | packages node_modules/.package-lock.json
	$(step) "node-gyp: the benchmark's peers" sh -c 'cd native/peers && npx node-gyp configure $(nodedir) && npx node-gyp build'
	@touch $@

# What the tests run in the guest besides Node: static, so that every kernel and both word sizes will do.
test_programs := $(addprefix test/native/build/,fail_nth fuzz races timers limits side_effects stale past_bugs balance compat64 compat32)
test_cc       := gcc -std=gnu17 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -static -O1 -g -Wall -Wextra -Werror -pthread

test/native/build/compat%: test/native/compat.c test/native/common.h kmod/uapi/framevec.h | packages
	@.ci/packages gcc-multilib
	@mkdir -p $(@D)
	$(step) "gcc -m$*: compat" $(test_cc) -m$* -o $@ $<

test/native/build/fuzz: test/native/oracle.h
test/native/build/races test/native/build/past_bugs: test/native/calls.h

test/native/build/%: test/native/%.c test/native/common.h kmod/uapi/framevec.h | packages
	@mkdir -p $(@D)
	$(step) "gcc: $*" $(test_cc) -o $@ $<

$(library): $(ts_src) dist/.sources | node_modules/.package-lock.json
	$(step) "tsc: the library" sh -c 'npx tsc && npx tsc -p test/browser'
	@chmod +x dist/lib/cli/main.js
	@# So that npx finds this checkout's own command, and asks no registry for one.
	@ln -sf ../../dist/lib/cli/main.js node_modules/.bin/framevec
	@touch $@

# Changes when a source is added or deleted: what imports a file that is gone has to be compiled again, to fail.
dist/.sources: always
	@mkdir -p $(@D)
	@printf '%s\n' $(ts_src) | cmp -s - $@ || printf '%s\n' $(ts_src) >$@

always:

# What `framevec bench --html` puts into its page: Plot comes in here, so that it is no dependency of those who install.
$(report_page): $(page_src) lib/bench/report/shape.ts lib/bench/result.ts .ci/bundle | node_modules/.package-lock.json
	$(step) "tsc: the report's page" npx tsc -p lib/bench/report/page
	$(step) "esbuild: the report's page" .ci/bundle $(@D) lib/bench/report/page/main.ts lib/bench/report/page/style.css
	@touch $@

# --- the VM -----------------------------------------------------------------

vm-ready: build
	@$(fv) vm --kernel $(KERNEL) --prepare --install

# make itself says 2 for every failure; the command's own status comes out by way of a file.
# Two of them may run in one checkout, so it is named by the number of this make.
vm_status := build/vm-status-$(shell echo $$PPID)
ifneq ($(filter vm,$(MAKECMDGOALS)),)
-load build/exit_with.so
endif

build/exit_with.so: .ci/exit_with.c | packages
	@mkdir -p $(@D)
	@$(CC) -shared -fPIC -O1 -o $@ $<

vm-run: vm-ready
	@$(fv) vm --quiet --kernel $(KERNEL) -- sh -c "$$RUN"; echo $$? >$(vm_status)
export RUN

vm: vm-run
	$(exit_with $(vm_status))
	@status=$$(cat $(vm_status)); rm -f $(vm_status); exit $$status

demo: vm-ready
	@$(fv) vm --kernel $(KERNEL) --memory 1G -- node dist/lib/cli/main.js demo

# Times of one VM compare with each other only. BENCH='--filter 4k --duration 2s' chooses, and has the grid's options;
# VM='--icount --cpus 1' counts instructions, which repeats.
bench_run := build/bench-$(KERNEL)

bench: vm-ready native/peers/build/Release/peers.node
	@rm -rf $(bench_run) && mkdir -p $(bench_run)
	@$(fv) vm --kernel $(KERNEL) --memory 6G --timeout 7200 --out $(bench_run) --module-param aperture_size=268435456 \
	  --with vivid --with rdma_rxe --with ib_uverbs $(VM) -- \
	  sh -c 'node dist/lib/cli/main.js bench --figures --json $$FRAMEVEC_RUN/bench.json "$$@"' bench $(BENCH)
	@mv $(bench_run)/bench.json build/bench-$(KERNEL).json && rm -rf $(bench_run)
	@echo "build/bench-$(KERNEL).json"

# Of the bench's last result, or of RESULT=file: the page, and docs/bench-report.png.
RESULT ?= build/bench-$(KERNEL).json

bench-report: build
	@.ci/packages chromium
	@$(fv) bench --from $(RESULT) --html build/bench-$(KERNEL).html
	@node dist/test/browser/picture.js build/bench-$(KERNEL).html docs/bench-report.png

# What `npx ava` runs, and what the tests import: test/ava.ts tells why.
ava := dist/node_modules/ava/package.json

$(ava): test/ava.ts node_modules/.package-lock.json | $(library)
	$(step) "esbuild: AVA" node dist/test/ava.js
	@ln -sf ../../dist/node_modules/ava/entrypoints/cli.js node_modules/.bin/ava

# The package is made beforehand: two test files pack it at the same time.
test_ready := prebuild $(ava) test/native/build/Release/raw.node native/peers/build/Release/peers.node $(test_programs) | test-packages

test-packages:
	@.ci/packages v4l-utils linux-perf bpftrace chromium

# ALSO='6.12 7.x-rt debug' adds a short selection on these, WITHIN=1800 on those only that can begin before so many seconds.
test: vm-ready $(test_ready) $(if $(filter debug,$(ALSO)),debug-packages)
	@node dist/test/run.js --kernel $(KERNEL) $(ALSO:%=--also %) $(if $(WITHIN),--within $(WITHIN)) $(ONLY)

# TABLE=docs/testing.md writes the results into that page, in place of the last ones.
table = $(if $(TABLE),--table $(TABLE))

# KERNELS=5.10,7.x-rt chooses rows, ONLY=gup files.
test-matrix: build $(test_ready)
	@node dist/test/matrix.js $(if $(KERNELS),--kernels $(KERNELS)) $(table) $(ONLY)

# Part of `make test`, too.
test-headers: build $(ava)
	@node dist/test/run.js --host headers

# NODES=24,26 chooses rows.
test-node: vm-ready $(test_ready)
	@node dist/test/nodes.js --kernel $(KERNEL) $(if $(NODES),--nodes $(NODES)) $(table) $(ONLY)

# An instrumented addon has a tree of its own beside this one, so that nothing in the library has to know of it.
define instrument
	@mkdir -p build/$(1)
	@cd build/$(1) && rm -rf native dist lib kmod test docs
	@cp -r binding.gyp package.json native dist lib kmod test docs build/$(1)
	@ln -sfn ../../node_modules build/$(1)/node_modules
	$(step) "node-gyp: the addon, for $(1)" sh -c 'cd build/$(1) && npx node-gyp configure $(nodedir) -- -Dframevec_instrument=$(1) && npx node-gyp build'
endef

test-asan: vm-ready $(test_ready)
	$(call instrument,asan)
	@node build/asan/dist/test/sanitize.js --kernel $(KERNEL) $(ONLY)

coverage: vm-ready $(test_ready)
	$(call instrument,coverage)
	@node build/coverage/dist/test/coverage.js --kernel $(KERNEL) $(ONLY)

# The kernel is built once, and kept in the runner's cache: it says how long that takes.
debug-packages:
	@.ci/packages flex bison bc libelf-dev libssl-dev

# SANITIZER=kcsan looks for data races instead. Its fuzzer makes fewer calls: most accesses are delayed, to be watched.
SANITIZER ?= kasan
debug_kernel_kasan := debug
debug_kernel_kcsan := kcsan
debug_calls_kasan  := 1000000
debug_calls_kcsan  := 100000
debug_kernel = $(or $(debug_kernel_$(SANITIZER)),$(error SANITIZER=$(SANITIZER): kasan or kcsan))

test-debug: build $(test_ready) debug-packages
	@$(fv) vm --kernel $(debug_kernel) --prepare --install
	@FRAMEVEC_FUZZ=$${FRAMEVEC_FUZZ:-$(debug_calls_$(SANITIZER))} node dist/test/run.js --guest --kernel $(debug_kernel) --of-the-kernel $(table) $(ONLY)

# ONLY=snapshot chooses mutants by a part of their names, TABLE=docs/testing.md writes the table there, CONTINUE=1 goes on
# where a run was interrupted.
test-mutants: build $(test_ready)
	@.ci/packages patch
	@$(fv) vm --kernel $(KERNEL) --prepare --install
	@node dist/test/mutants.js --kernel $(KERNEL) $(table) $(if $(CONTINUE),--continue) $(ONLY)

# --- checks -----------------------------------------------------------------

check: check-lib check-docs check-native check-kmod

check-lib: $(library)
	$(step) "eslint" npx eslint .
	$(step) "api-extractor: the public API is that of test/types" $(api_report)

# What the package exports, as test/types/*.api.md have it: `make api-report` after a change on purpose.
api_report = sh -c 'for report in api-extractor api-extractor.bench; do npx api-extractor run $(1) --config test/types/$$report.json || exit; done'

api-report: $(library)
	$(step) "api-extractor: test/types/*.api.md" $(call api_report,--local)

# Links, commands and code of the pages; spelling; the man page; and the reference, of which every warning is an error.
check-docs: $(library) $(ava) docs
	@.ci/packages mandoc groff
	$(step) "tsc: the examples" npx tsc -p docs/examples
	$(step) "the pages: links, commands, code" npx ava dist/test/docs.test.js dist/test/abi_page.test.js
	$(step) "cspell" npx cspell --config docs/cspell.json --no-progress --no-summary README.md CHANGELOG.md CONTRIBUTING.md SECURITY.md 'docs/**'
	$(step) "mandoc" sh -c '! mandoc -T lint -W style docs/man/framevec.4 2>/dev/null | grep .'
	$(step) "groff" sh -c '! groff -mandoc -ww -z -Tutf8 docs/man/framevec.4 2>&1 | grep .'

docs: $(library)
	$(step) "TypeDoc: build/docs" npx typedoc --options docs/typedoc.json

# clang-tidy is told what the compiler is told: gyp writes it down.
tidy = cd $(1) && npx node-gyp configure $(nodedir) -- -f compile_commands_json && ls $(2) | xargs -P $$(nproc) -n 4 clang-tidy --quiet -p $(1)/build/Release

check-native: node_modules/.package-lock.json
	@.ci/packages clang-format clang-tidy
	$(step) "clang-format" clang-format --dry-run --Werror $(wildcard native/*.cc native/*.h native/peers/*.cc native/peers/*.h test/native/*.cc test/native/*.c test/native/*.h)
	$(step) "clang-tidy: the addon" sh -c '$(call tidy,$(CURDIR),$(CURDIR)/native/*.cc)'
	$(step) "clang-tidy: the benchmark's peers" sh -c '$(call tidy,$(CURDIR)/native/peers,$(CURDIR)/native/peers/*.cc)'

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

as_root := $(if $(filter 0,$(shell id -u)),,sudo)

install: build
	@$(as_root) $(fv) module install

uninstall: build
	@$(as_root) $(fv) module uninstall

clean:
	rm -rf build dist
	@if [ -d /lib/modules/$$(uname -r)/build ]; then $(MAKE) -C kmod clean; fi
