# fwm: make run | make test | make bench | make bench-reference | make lint | make format | make install | make clean
# SAN=1 builds with AddressSanitizer and UndefinedBehaviorSanitizer into build-san/.

SHELL := /bin/bash
.DELETE_ON_ERROR:
.SUFFIXES:
.SECONDARY:
MAKEFLAGS += --no-builtin-rules
JOBS := $(shell nproc)

# ---- what is needed, and how it is installed ------------------------------------------------------------------------
PACKAGES := gcc make pkg-config libc6-dev libgomp1 libdnnl-dev libopenblas-openmp-dev libfftw3-dev libhdf5-openmpi-dev \
            libpetsc-real-dev libyaml-dev libjansson-dev libxxhash-dev librandom123-dev libpng-dev zlib1g-dev libdeflate-dev
TEST_PACKAGES := libcriterion-dev python3 python3-venv openmpi-bin
INTEROP_WHEELS := numpy==1.26.4 h5py==3.11.0 safetensors==0.4.5 scipy==1.11.4 POT==0.9.4 meshio==5.3.5
# Interpreters whose PyTorch and JAX are measured beside fwm, where they have them; never needed to build or to test.
BENCH_PYTHON ?= /usr/bin/python3
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

# One query of dpkg's database: a no-op costs milliseconds.
missing = $(shell have=" $$(dpkg-query -W -f='$${db:Status-Status}:$${Package} ' 2>/dev/null)"; for p in $(1); do [[ "$$have" == *" installed:$$p "* ]] || echo $$p; done)

# ---- where things go ------------------------------------------------------------------------------------------------
ifdef SAN
BUILD := build-san
OPT := -O1 -g -fsanitize=address,undefined -fno-omit-frame-pointer -fno-sanitize-recover=undefined
else
BUILD := build
OPT := -O3 -g1
# Pointwise functions are vectors already: -O3 only unrolls them further, at three times the time to compile.
OPT_forms := -O2
endif
PREFIX ?= /usr/local
VERSION := 0.1.0

LIBDIR := /usr/lib/x86_64-linux-gnu
PC := PETSc hdf5-openmpi yaml-0.1 ompi-c jansson libxxhash libpng libdeflate fftw3 fftw3f
WARN := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Werror
CFLAGS := -std=c11 $(OPT) -fno-math-errno -fno-trapping-math -ffp-contract=fast -fopenmp -ffunction-sections -fdata-sections -pthread $(WARN)
# Headers of libraries are system headers: their warnings are not ours.
CPPFLAGS := -I. -D_GNU_SOURCE -DFWM_VERSION='"$(VERSION)"' -isystem $(LIBDIR)/../../include/x86_64-linux-gnu/openblas-openmp \
           $(patsubst -I%,-isystem %,$(filter -I%,$(shell pkg-config --cflags $(PC) 2>/dev/null)))
LDLIBS := $(shell pkg-config --libs $(PC) 2>/dev/null) -ldnnl -lz -L$(LIBDIR)/openblas-openmp -lopenblas -lm -pthread
comma := ,
LDFLAGS := -fopenmp -Wl,--gc-sections -Wl,--as-needed -Wl,--disable-new-dtags -Wl,-rpath,$(LIBDIR)/openblas-openmp

# ---- sources, found ---------------------------------------------------------------------------------------------------
ROOMS := model physics data train tools
# Compiled once for each number type and instruction set: see model/base/variant.h.
VARIANT_DIRS := model/autodiff/ops model/autodiff/kernels model/transport/kernels physics/forms physics/kernels
ALL := $(shell find $(ROOMS) -name '*.c' | LC_ALL=C sort)
VARIANT_SRC := $(filter $(addsuffix /%,$(VARIANT_DIRS)),$(ALL))
PLAIN_SRC := $(filter-out $(VARIANT_SRC) tools/fwm.c tools/engine.c,$(ALL))
TEST_SRC := $(shell find tests -name 'test_*.c' | LC_ALL=C sort)
TEST_PROGRAM_SRC := $(shell find tests -name 'program_*.c' | LC_ALL=C sort)

VARIANTS := f32_v1 f32_v3 f32_v4 f64_v1 f64_v3 f64_v4
FLAGS_v1 := -DFWM_ISA_LEVEL=1
FLAGS_v3 := -DFWM_ISA_LEVEL=3 -mavx2 -mfma -mf16c -mbmi -mbmi2 -mlzcnt
FLAGS_v4 := -DFWM_ISA_LEVEL=4 -mavx512f -mavx512dq -mavx512bw -mavx512vl -mavx2 -mfma -mf16c -mbmi -mbmi2 -mlzcnt -mprefer-vector-width=512
FLAGS_f32 := -DFWM_REAL=float -DFWM_REAL_BITS=32
FLAGS_f64 := -DFWM_REAL=double -DFWM_REAL_BITS=64
FLAGS_f64_v1 := -DFWM_DEFINITION=1

PLAIN_OBJ := $(PLAIN_SRC:%.c=$(BUILD)/o/%.o)
VARIANT_OBJ := $(foreach v,$(VARIANTS),$(VARIANT_SRC:%.c=$(BUILD)/o/%.$(v).o))
TEST_OBJ := $(TEST_SRC:%.c=$(BUILD)/o/%.o)
TEST_PROGRAMS := $(TEST_PROGRAM_SRC:%.c=$(BUILD)/%)

# Folders whose files register themselves: the build lists them as X(name), one a file.
LISTS := $(BUILD)/gen/ops.def $(BUILD)/gen/passes.def $(BUILD)/gen/forms.def $(BUILD)/gen/layouts.def $(BUILD)/gen/exports.def $(BUILD)/gen/commands.def $(BUILD)/gen/benchmarks.def
LIST_DIR_ops := model/autodiff/ops
LIST_DIR_passes := model/autodiff/passes
LIST_DIR_forms := physics/forms
LIST_DIR_layouts := data/layouts
LIST_DIR_exports := tools/export
LIST_DIR_commands := tools/commands
LIST_DIR_benchmarks := tools/bench/cases

.PHONY: all run test bench bench-reference lint format install clean deps deps-test build unit interop check FORCE
all: build

# ---- the two commands -------------------------------------------------------------------------------------------------
run: deps
	@$(MAKE) --no-print-directory -j$(JOBS) build
	@tools/run-default $(BUILD)/fwm

test: deps deps-test
	@$(MAKE) --no-print-directory -j$(JOBS) build $(BUILD)/test_fwm $(BUILD)/programs
	@$(MAKE) --no-print-directory check

check: unit interop

unit:
	@rm -f $(BUILD)/sanitizer.*
	GOMP_SPINCOUNT=3000 OMP_NUM_THREADS=$(JOBS) ASAN_OPTIONS=detect_leaks=0:log_path=$(BUILD)/sanitizer FWM_BUILD=$(BUILD) $(BUILD)/test_fwm --timeout 300 -j1 $(TEST_ARGS)
	@! ls $(BUILD)/sanitizer.* 2>/dev/null || { cat $(BUILD)/sanitizer.*; exit 1; }

interop: $(BUILD)/venv/ready
	@FWM_BUILD=$(BUILD) $(BUILD)/venv/bin/python tests/interop/run.py

$(BUILD)/venv/ready: Makefile
	@rm -rf $(BUILD)/venv && /usr/bin/python3 -m venv $(BUILD)/venv
	@$(BUILD)/venv/bin/pip install --quiet --disable-pip-version-check $(INTEROP_WHEELS)
	@touch $@

bench: deps
	@$(MAKE) --no-print-directory -j$(JOBS) build
	@$(BUILD)/fwm bench $(BENCH)
	@for python in $(BENCH_PYTHON); do $$python -c 'import torch' 2>/dev/null && $$python tests/bench/peers.py --fwm $(BUILD)/fwm \
	  || echo "tests/bench/peers.py: no PyTorch for $$python, no comparison"; done
	@$(MAKE) --no-print-directory $(BUILD)/tests/bench/program_fenics && OMP_NUM_THREADS=1 /usr/bin/python3 tests/bench/fenics.py --build $(BUILD)
	@$(MAKE) --no-print-directory bench-reference

# S and M against the best of PyTorch and JAX, of whatever interpreters BENCH_PYTHON names.
bench-reference: deps
	@$(MAKE) --no-print-directory -j$(JOBS) build $(BUILD)/tests/bench/program_reference
	@FWM_BUILD=$(BUILD) /usr/bin/python3 tests/bench/reference.py $(addprefix --python ,$(BENCH_PYTHON)) $(REFERENCE)

# ---- packages -----------------------------------------------------------------------------------------------------------
deps:
	@miss="$(call missing,$(PACKAGES))"; [ -z "$$miss" ] || { echo "installing:$$miss" | tr '\n' ' '; echo; \
	  $(SUDO) apt-get update -qq && DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y -qq --no-install-recommends $$miss >/dev/null; }

deps-test:
	@miss="$(call missing,$(TEST_PACKAGES))"; [ -z "$$miss" ] || { echo "installing:$$miss" | tr '\n' ' '; echo; \
	  $(SUDO) apt-get update -qq && DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y -qq --no-install-recommends $$miss >/dev/null; }

# ---- compiling ------------------------------------------------------------------------------------------------------------
build: $(BUILD)/fwm $(BUILD)/fwm-engine $(BUILD)/libfwm.a

$(BUILD)/gen/%.def: FORCE
	@mkdir -p $(@D)
	@find $(LIST_DIR_$*) -maxdepth 1 -name '*.c' 2>/dev/null | LC_ALL=C sort | sed 's,.*/\(.*\)\.c$$,X(\1),' > $@.new
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@

$(BUILD)/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(CFLAGS) $(CPPFLAGS) $(LDLIBS)' > $@.new; cmp -s $@.new $@ && rm $@.new || mv $@.new $@

$(BUILD)/o/%.o: %.c $(BUILD)/flags | $(LISTS)
	@mkdir -p $(@D)
	@echo "  cc      $<"; $(CC) $(CPPFLAGS) -I$(BUILD)/gen $(CFLAGS) -MMD -MP -c $< -o $@

define variant_rule
$(BUILD)/o/%.$(1).o: %.c $(BUILD)/flags | $(LISTS)
	@mkdir -p $$(@D)
	@$(CC) $(CPPFLAGS) -I$(BUILD)/gen $(CFLAGS) $(FLAGS_$(firstword $(subst _, ,$(1)))) $(FLAGS_$(lastword $(subst _, ,$(1)))) $(FLAGS_$(1)) $$(if $$(filter physics/forms/%,$$<),$$(OPT_forms)) -DFWM_VARIANT=$(1) -MMD -MP -c $$< -o $$@
endef
$(foreach v,$(VARIANTS),$(eval $(call variant_rule,$(v))))

$(BUILD)/libfwm.a: $(PLAIN_OBJ) $(VARIANT_OBJ)
	@rm -f $@; echo "  ar      $@"; $(AR) rcs $@ $^

$(BUILD)/fwm-engine: $(BUILD)/o/tools/engine.o $(BUILD)/libfwm.a
	@echo "  link    $@"; $(CC) $(CFLAGS) -o $@ $^ $(LDFLAGS) $(LDLIBS)

# The small executable (tools/fwm.c) takes of the commands their descriptors alone: the sections with their work, and so
# all references to large libraries, are dropped by --gc-sections. Sanitizers keep every section: there it is the whole.
FRONT_OBJ := $(BUILD)/o/tools/fwm.o $(filter $(BUILD)/o/tools/cli.o $(BUILD)/o/tools/commands/% $(BUILD)/o/train/config% \
             $(BUILD)/o/model/base/%,$(PLAIN_OBJ))
ifdef SAN
$(BUILD)/fwm: $(BUILD)/fwm-engine
	@cp $< $@
else
$(BUILD)/fwm: $(FRONT_OBJ)
	@echo "  link    $@"; $(CC) -o $@ $^ -Wl,--gc-sections -Wl,--as-needed -lyaml -ljansson -lm
endif

# Criterion finds tests in a section that nothing refers to: collecting unused sections would drop every one of them.
$(BUILD)/test_fwm: $(TEST_OBJ) $(BUILD)/libfwm.a
	@echo "  link    $@"; $(CC) $(CFLAGS) -o $@ $(TEST_OBJ) $(BUILD)/libfwm.a $(filter-out -Wl$(comma)--gc-sections,$(LDFLAGS)) $(LDLIBS) -lcriterion

$(BUILD)/programs: $(TEST_PROGRAMS)
	@touch $@

$(BUILD)/tests/%: $(BUILD)/o/tests/%.o $(BUILD)/libfwm.a
	@mkdir -p $(@D); echo "  link    $@"; $(CC) $(CFLAGS) -o $@ $< $(BUILD)/libfwm.a $(LDFLAGS) $(LDLIBS)

# ---- care -----------------------------------------------------------------------------------------------------------------
lint:
	@tests/lint

format:
	@git ls-files '*.c' '*.h' | xargs clang-format -i

install: build
	install -D -m 755 $(BUILD)/fwm $(DESTDIR)$(PREFIX)/bin/fwm
	install -D -m 755 $(BUILD)/fwm-engine $(DESTDIR)$(PREFIX)/bin/fwm-engine
	install -D -m 644 $(BUILD)/libfwm.a $(DESTDIR)$(PREFIX)/lib/libfwm.a

clean:
	rm -rf build build-san

-include $(PLAIN_OBJ:.o=.d) $(VARIANT_OBJ:.o=.d) $(TEST_OBJ:.o=.d) $(BUILD)/o/tools/fwm.d $(BUILD)/o/tools/engine.d $(TEST_PROGRAM_SRC:%.c=$(BUILD)/o/%.d)
