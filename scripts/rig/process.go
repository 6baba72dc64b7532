package rig

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Program is something that serves: how to start it, over and over.
type Program struct {
	Path string
	Args []string
	Env  []string // besides the rig's own
	Dir  string   // where each start leaves a log of its own
}

// Product builds the product in the folder source with the tags into dir, and
// returns its serve command with keys of its own. It is for processes On some
// stores.
func Product(ctx context.Context, source, dir, tags string) (Program, error) {
	path := filepath.Join(dir, "dangri")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-tags", tags, "-o", path, "dangri")
	build.Dir = source
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if said, err := build.CombinedOutput(); err != nil {
		return Program{}, fmt.Errorf("build the product: %w\n%s", err, said)
	}
	return Program{Path: path, Args: []string{"serve"}, Dir: dir}.With("DANGRI_ADDR=127.0.0.1:0", "DANGRI_METRICS_ADDR=127.0.0.1:0",
		"DANGRI_SEAL_KEYS=rig:"+key(), "DANGRI_INDEX_KEY="+key(), "DANGRI_CODE_KEY="+key()), nil
}

// On is the program on the stores at these addresses: the way to them may
// lead through a proxy.
func (p Program) On(dsn, redisAddr string) Program {
	return p.With("DANGRI_MYSQL_DSN="+dsn, "DANGRI_REDIS_ADDR="+redisAddr)
}

// With is the program in a larger environment.
func (p Program) With(environ ...string) Program {
	p.Env = append(slices.Clone(p.Env), environ...)
	return p
}

func key() string {
	raw := make([]byte, 32)
	_, _ = rand.Read(raw) // never fails since Go 1.24
	return base64.StdEncoding.EncodeToString(raw)
}

// Run runs another command of the program to its end.
func (p Program) Run(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, p.Path, args...)
	cmd.Env = append(os.Environ(), p.Env...)
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %v: %w\n%s", p.Path, args, err, said)
	}
	return nil
}

// Process is a program that serves at Address.
type Process struct {
	Address string
	Log     string // the file with everything that it says

	program Program
	cmd     *exec.Cmd
	exited  chan struct{}
}

// Ready is the line by which a program says that it serves and where.
type Ready struct {
	Message string `json:"msg"`
	Address string `json:"address"`
}

// Serving is the message of that line.
const Serving = "serving"

// Start runs the program and returns when it says that it serves. It runs
// until Kill or Stop.
func (p Program) Start(ctx context.Context) (*Process, error) {
	log, err := os.CreateTemp(p.Dir, filepath.Base(p.Path)+"-*.log")
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command(p.Path, p.Args...) //nolint:noctx // Kill or Stop end it
	cmd.Env = append(os.Environ(), p.Env...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", p.Path, err)
	}
	process := &Process{Log: log.Name(), program: p, cmd: cmd, exited: make(chan struct{})}
	go func() {
		_ = cmd.Wait()
		close(process.exited)
	}()
	err = Until(ctx, 60*time.Second, "it serves", func() bool { return process.ready() || process.Gone() })
	if err == nil && process.Address == "" {
		err = fmt.Errorf("it ended: %s", cmd.ProcessState)
	}
	if err != nil {
		process.Kill()
		said, _ := os.ReadFile(process.Log)
		return nil, fmt.Errorf("start %s: %w\n%s", p.Path, err, said[max(0, len(said)-2000):])
	}
	return process, nil
}

func (p *Process) ready() bool {
	said, _ := os.ReadFile(p.Log)
	for line := range bytes.Lines(said) {
		var r Ready
		if json.Unmarshal(line, &r) == nil && r.Message == Serving {
			p.Address = r.Address
			return true
		}
	}
	return false
}

// Gone says whether the process has ended.
func (p *Process) Gone() bool {
	select {
	case <-p.exited:
		return true
	default:
		return false
	}
}

// Kill ends the process at once, as a power cut would.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // it may be gone already
	<-p.exited
}

// Stop asks the process to finish what is under way and waits for its end. It
// fails when the process did not end well.
func (p *Process) Stop() error {
	if err := p.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	<-p.exited
	if !p.cmd.ProcessState.Success() {
		return fmt.Errorf("%s: %s", p.cmd.Path, p.cmd.ProcessState)
	}
	return nil
}

// Signal sends a signal to the process.
func (p *Process) Signal(s os.Signal) error {
	if err := p.cmd.Process.Signal(s); err != nil {
		return fmt.Errorf("signal %s: %w", p.cmd.Path, err)
	}
	return nil
}

// Restart kills the process and starts its program again, at another address.
func (p *Process) Restart(ctx context.Context) error {
	p.Kill()
	again, err := p.program.Start(ctx)
	if err == nil {
		*p = *again
	}
	return err
}

// Pid is the number of the process.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// CPU is the processor time that a process has used; negative where there is
// no such process or the system does not tell.
func CPU(pid int) time.Duration {
	fields := stat(pid)
	if len(fields) < 13 {
		return -1
	}
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * (time.Second / 100) // the kernel counts in hundredths for everybody
}

// RSS is the memory of a process in bytes; 0 where the system does not tell.
func RSS(pid int) int64 {
	fields := stat(pid)
	if len(fields) < 22 {
		return 0
	}
	pages, _ := strconv.ParseInt(fields[21], 10, 64)
	return pages * int64(os.Getpagesize())
}

// stat is what the system tells of a process after its name, which may hold
// anything, brackets too: /proc/PID/stat from the third field on.
func stat(pid int) []string {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil
	}
	return strings.Fields(string(raw[bytes.LastIndexByte(raw, ')')+1:]))
}
