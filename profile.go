//go:build profile

package main

import (
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/pprof"
	"syscall"
)

// A binary built with the tag profile writes a CPU profile into the folder
// DANGRI_TEST_PROFILE from each SIGUSR1 to the SIGUSR2 that follows. It is for
// `make profile`; no other binary can be asked for a profile.
func init() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR1, syscall.SIGUSR2)
	go profileBetween(signals)
}

func profileBetween(signals <-chan os.Signal) {
	for n := 0; ; n++ {
		for s := range signals {
			if s == syscall.SIGUSR1 {
				break
			}
		}
		file, err := os.Create(filepath.Join(os.Getenv("DANGRI_TEST_PROFILE"), fmt.Sprintf("cpu-%03d.pprof", n)))
		if err == nil {
			err = pprof.StartCPUProfile(file)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "no profile:", err)
			continue
		}
		for s := range signals {
			if s == syscall.SIGUSR2 {
				break
			}
		}
		pprof.StopCPUProfile()
		_ = file.Close()
	}
}
