//go:build drill

package service

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

// A binary built with the tag drill ends itself, as a power cut would, at the
// fault points that DANGRI_TEST_FAULTS names: "after_commit:40,before_reply:90"
// is the fortieth and the ninetieth pass. So a kill lands between two steps
// every time, not once in a thousand tries.
var faults = readFaults(os.Getenv("DANGRI_TEST_FAULTS"))

func readFaults(text string) map[string]*atomic.Int64 {
	left := map[string]*atomic.Int64{}
	for part := range strings.SplitSeq(text, ",") {
		name, passes, ok := strings.Cut(part, ":")
		n, err := strconv.ParseInt(passes, 10, 64)
		if text != "" && (!ok || err != nil) {
			panic(fmt.Sprintf("DANGRI_TEST_FAULTS: %q is not NAME:PASSES", part))
		}
		left[name] = new(atomic.Int64)
		left[name].Store(n)
	}
	return left
}

func faultPoint(name string) {
	if left := faults[name]; left != nil && left.Add(-1) == 0 {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // the signal is on its way
	}
}
