# Needs Go, git and make; a C compiler for the race detector. Everything else, etcd included, is built from Go modules.

# The modules that hold packages. integration/etcd/* and tools only pin programs.
NESTED  := $(patsubst %/go.mod,%,$(wildcard integration/go.mod examples/go.mod cmd/holdfast/go.mod holdfastotel/go.mod adapters/*/go.mod))
MODULES := . $(NESTED) holdfasttest/containers integration/adapters integration/containers

# All their packages. One command for all of them loads and analyses what they share once: golangci-lint needs a third of the
# processor time.
packages-of = $(patsubst ././...,./...,$(patsubst %,./%/...,$(1)))
PACKAGES   := $(call packages-of,$(MODULES))

# The etcd versions that tests with a real etcd run on.
export ETCD_VERSIONS ?= 3.6

# The modules use each other as they are in the tree, whatever the environment says.
export GOWORK := $(CURDIR)/go.work

# In a workspace the go command refuses this flag.
export GOFLAGS := $(filter-out -mod=%,$(GOFLAGS))

# The race detector needs cgo, which Go turns off where there is no C compiler.
RACE      ?= $(if $(filter 1,$(shell go env CGO_ENABLED)),-race)
TESTFLAGS ?=
FUZZTIME  ?= 30s
DURATION  ?= 2h
COUNT     ?= 6
LINT      := bin/golangci-lint
IMAGE     := holdfast-etcd:3.6

CHECKS := tidy-check fix-check vet windows-check lint test contracts adapters packages containers faults-quick gauntlet

.NOTPARALLEL:
.PHONY: clean $(shell sed -n 's/^## \([a-z-]*\):.*/\1/p' Makefile)

# The race detector of Go 1.26 ends a test with "ThreadSanitizer: CHECK failed" when two goroutines of a synctest bubble use
# expired timers at the same moment (golang/go#78156). On one processor they cannot, and the races are found as before; the
# tests on a real etcd have no bubbles and run on all processors.
ONE_CPU := -cpu 1

## test: all tests; those of the nested modules run on a real etcd
test: unit integration

## unit: the tests of the library, without etcd
unit:
	go test $(RACE) -shuffle=on $(if $(RACE),$(ONE_CPU)) $(TESTFLAGS) ./...

# What has a target of its own, and would make "make test" too long.
APART := integration/(upgrade|gauntlet|faults)$$

# The packages that measure how late something is run one at a time, the others in twos: each starts etcd processes of its
# own, and waits for them much of the time. The tests of a package that are parallel spend their time waiting, so that more
# of them run at once than there are processors.
TIMED := integration/(cli|gateway|mutex|nospace|proxies|queue|ui)$$
nested-tests = (set -x; go test $(RACE) -shuffle=on -p $(1) -parallel 4 -timeout 15m $(TESTFLAGS) $$packages)

## integration: the tests of the nested modules
integration:
	@set -e; packages=$$(go list $(call packages-of,$(NESTED)) | grep -Ev '$(APART)|$(TIMED)'); $(call nested-tests,2); \
	  packages=$$(go list ./integration/... | grep -E '$(TIMED)'); $(call nested-tests,1)

# What a recipe relies on may differ between versions: etcd 3.7 omits leases from reads without values, for example.
# The etcd in memory is compared with 3.4 too, if it is installed.
## contracts: the contract tests of the recipes, and of the etcd in memory, on the other versions of etcd
contracts:
	ETCD_VERSIONS=3.5,3.7 go test -C integration -p 2 -count=1 -timeout 10m -run Contract $(TESTFLAGS) \
	  ./mutex ./election ./semaphore ./barrier ./queue ./once ./cron ./cache ./member ./stm ./limit ./shard ./holdfasttest
	ETCD_VERSIONS=3.4 go test -C integration -count=1 -timeout 10m -run Contract $(TESTFLAGS) ./holdfasttest

# Without the race detector, with which a compiler needs minutes for SQLite.
## adapters: the schedulers and tools for which there are adapters, on a real etcd
adapters:
	go test -C integration/adapters -count=1 -timeout 10m $(TESTFLAGS) ./...

# The rows of "make test" for longer: idle limits of a minute are met only here.
## proxies: watches through nginx, haproxy and Go's proxy, two minutes busy and two idle on each path (9 minutes)
proxies:
	HOLDFAST_PROXIES=long go test -C integration $(RACE) -count=1 -v -timeout 20m $(TESTFLAGS) ./proxies

## upgrade: a cluster taken from 3.5 to 3.6 to 3.7 under load
upgrade:
	go test -C integration $(RACE) -v -timeout 10m $(TESTFLAGS) ./upgrade

# The tests are skipped where no engine answers, and nowhere else.
DOCKER_ARCH = $(shell docker version -f '{{.Server.Arch}}')

## containers: etcd in containers for users' tests, the contract suites on it, and the image of the command
containers: export TESTCONTAINERS_RYUK_DISABLED ?= true
containers: export TESTCONTAINERS_HOST_OVERRIDE ?= 127.0.0.1
containers: export HOLDFAST_ETCD_IMAGE ?= $(IMAGE)
containers:
	@set -e; if docker info >/dev/null 2>&1; then \
	  [ $$HOLDFAST_ETCD_IMAGE != $(IMAGE) ] || docker image inspect $(IMAGE) >/dev/null 2>&1 || $(MAKE) --no-print-directory image; \
	  $(MAKE) --no-print-directory dist VERSION=v0.0.0-test PLATFORM=linux/$(DOCKER_ARCH); \
	  docker load -q -i dist/holdfast_0.0.0-test_image_$(DOCKER_ARCH).tar.gz; \
	  export HOLDFAST_CONTAINERS=must HOLDFAST_IMAGE=holdfast:0.0.0-test; fi; \
	  for m in holdfasttest/containers integration/containers; do \
	  (set -x; go test -C $$m $(RACE) -timeout 10m $(TESTFLAGS) ./...); done

## image: an image with nothing but etcd in it, built from its Go module, for machines that reach no registry
image:
	go run -C integration/containers ./image 3.6 | docker import - $(IMAGE)

# Inputs are not minimized: by default each that covers something new may take a minute of that, in which nothing else is
# tried. So what fails is kept as it was found.
## fuzz: every fuzz target there is, each for FUZZTIME; what fails is kept in testdata/fuzz beside it
fuzz:
	@set -e; grep -roE '^func Fuzz[A-Za-z0-9_]*' --include='*_test.go' . | sed 's|/[^/]*:func | |' | sort | \
	  while read -r dir target; do \
	  (set -x; go test -C $$dir -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1x $(TESTFLAGS) .); done

## figures: the measured figures behind the promises, as the tests print them
figures:
	@go test -C integration -p 1 -v -timeout 30m ./... | grep -E '^ *(---|ok|FAIL|.*figure:)'
	@go test -C integration -run '^$$' -bench . ./mutex | grep -E '^(Benchmark|ok|FAIL)'
	@go test -C integration -run '^$$' -bench . -benchtime 5x ./queue | grep -E '^(Benchmark|ok|FAIL)'

## bench: the Go benchmarks of the library, without etcd, in the form that benchstat reads
bench:
	go test -run '^$$' -bench . -count $(COUNT) $(TESTFLAGS) ./...

## compare: holdfast and clientv3 side by side on one etcd, ratio by ratio (half an hour)
compare:
	go run -C integration ./compare

## compare-quick: fewer cases and rounds of the same
compare-quick:
	go run -C integration ./compare -quick

## performance: compare, then the tables and plots of docs/performance.md from what it found
performance:
	go run -C integration ./compare -out ../docs/performance.txt
	go run -C integration ./compare -redraw ../docs

## election-timeouts: 100 holders cut off from members with election timeouts of 1, 3 and 10 s, while the leader changes (5 minutes)
election-timeouts: export HOLDFAST_ELECTION_TIMEOUTS := all
election-timeouts:
	@go test -C integration $(RACE) -count=1 -v -timeout 20m -run 'TestElectionTimeouts$$' $(TESTFLAGS) ./mutex | grep -E '^ *(---|ok|FAIL|.*(figure:|two holders))'

# In the package's own directory, where go test passes on what the tests print.
## gauntlet: what goes wrong in other recipes for etcd, and here, as a table
gauntlet:
	@go test -C integration/gauntlet $(RACE) -count=1 $(TESTFLAGS)

# What is printed of the tests of faults; the rest, much of it by etcd, is in a file.
FAULT_LINES := table: .*|figure: .*|soak: .*|void: .*|[^ ]*_test.go:.*(seed|violation|left of the run).*|^ *--- (FAIL|SKIP).*|^panic: .*|^(ok|FAIL).*
fault-tests = @log=$$(mktemp); \
  { go test -C integration -count=1 -v $(1) $(TESTFLAGS) ./faults; echo "$$?" >$$log.code; } 2>&1 | tee $$log | grep --line-buffered -oE '$(FAULT_LINES)'; \
  code=$$(cat $$log.code); rm $$log.code; echo "the whole output is in $$log"; exit $$code

## faults: all faults while all recipes of the matrix are in use, on one version of etcd, and the controls (7 minutes)
faults: export HOLDFAST_FAULTS ?= all
faults:
	$(call fault-tests,-timeout 20m -run 'TestFaults|TestControl')

# Without the race detector, which the packages under test have had in their own tests: it slows the clients, and with them
# the load, so far that a run says nothing.
# On a machine that other programs keep busy, what depends on time is void: it is skipped with a line that gives the cause.
## faults-quick: the faults that found most, and the controls (75 seconds)
faults-quick:
	$(call fault-tests,-timeout 10m -run 'TestFaults|TestControl')

## fleetsim: simulate the assignment of large fleets, and write the table of docs/scale.md
fleetsim:
	go run -C integration ./fleetsim -out ../docs/scale.md

## pictures: the pictures in docs/img, drawn anew from what the controls see
pictures:
	HOLDFAST_FAULTS_PICTURES=$(CURDIR)/docs/img go test -C integration -count=1 -run TestControlOfLocks/F8 ./faults

## soak: faults drawn at random, on all of ETCD_VERSIONS, for DURATION; SEED begins with that round
soak: export HOLDFAST_SOAK := $(DURATION)
soak: export HOLDFAST_FAULTS_SEED := $(SEED)
soak:
	$(call fault-tests,-timeout 0 -run TestSoak)

# tools and integration/etcd/* are not in the workspace, because all modules in one have the same versions of others.
RELEASE := GOWORK=off go run -C tools ./release

## release-check: build each module alone, install the command, and use the library, from a module proxy made of this tree
release-check:
	$(RELEASE) check

## release-prepare: make the modules require each other at VERSION, to be committed and tagged: docs/release.md
release-prepare:
	$(RELEASE) prepare $(VERSION)

## dist: the files of a release of VERSION, for all platforms or one of PLATFORM, in dist/
dist: VERSION ?= $(or $(shell git describe --tags --match 'v*' 2>/dev/null),v0.0.0-dev)
dist:
	GOWORK=off go run -C tools/dist . -version $(VERSION) -out $(CURDIR)/dist -only '$(PLATFORM)'

# Installing needs root, and is skipped without.
## packages: install the deb and the rpm of this machine into a folder, and remove them
packages:
	GOWORK=off go test -C tools/dist -count=1 -timeout 10m $(TESTFLAGS) .

# The second run has an empty build cache.
## dist-check: two runs of dist make equal files
dist-check:
	@set -e; $(MAKE) --no-print-directory dist; cp dist/SHA256SUMS dist-check.out; cache=$$(mktemp -d); \
	  trap 'rm -rf $$cache dist-check.out' EXIT; GOCACHE=$$cache $(MAKE) --no-print-directory dist; \
	  diff dist-check.out dist/SHA256SUMS; echo "two runs made equal files"

## quickstart: run the first example
quickstart:
	go run -C examples ./quickstart

EXAMPLES := $(patsubst examples/%/main.go,%,$(wildcard examples/*/main.go))

# "make test" runs them as well, and compares what they print.
## examples: run every example, each on an etcd of its own in the same process
examples:
	@set -e; for e in $(EXAMPLES); do (set -x; go run -C examples ./$$e); done

## tidy-check: go.mod and go.sum of every module are tidy
tidy-check:
	$(RELEASE) tidy -diff

## fix-check: go fix finds nothing to modernize
fix-check:
	go fix -diff $(PACKAGES)

## vet: go vet in every module
vet:
	go vet $(PACKAGES)

# The tests on a real etcd start processes as Unix does, and are not among them. Nothing debugs the programs: they are linked
# without what a debugger needs.
## windows-check: the library, the command and their unit tests compile for Windows
windows-check: export GOOS := windows
windows-check: export CGO_ENABLED := 0
windows-check:
	@set -e; dir=$$(mktemp -d); trap 'rm -rf $$dir' EXIT; for m in . cmd/holdfast holdfastotel; do \
	  echo "go vet, go test -c ($$m)"; go -C $$m vet ./...; go test -C $$m -c -ldflags='-s -w' -o $$dir/ ./...; done

## lint: golangci-lint in every module
lint: $(LINT)
	$(LINT) run $(PACKAGES)

## fmt: tidy, modernize and format every module
fmt: $(LINT)
	$(RELEASE) tidy
	@set -e; for m in $(MODULES); do (cd $$m && go fix ./... && $(CURDIR)/$(LINT) fmt ./...); done

# Without the checks of go vet that go test repeats, once for each way to compile: "vet" is all of them.
## check: everything that has to pass before a change goes in
check: export GOFLAGS := $(GOFLAGS) -vet=off
check:
	@set -e; for t in $(CHECKS); do start=$$(date +%s); echo "== $$t"; \
	  $(MAKE) --no-print-directory $$t; echo "== $$t: $$(($$(date +%s) - start)) s"; done

## ci: what .ci/run calls
ci: check

clean:
	rm -rf bin

$(LINT): tools/go.mod tools/go.sum
	GOWORK=off go build -C tools -o ../$@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint
