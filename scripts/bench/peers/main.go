// Peers are what others would build the same check-in of, each a process of
// its own for the benchmark beside:
//
//	peers pocketbase FOLDER PEOPLE ACTIVITIES
//	peers gva DSN PEOPLE ACTIVITIES
//
// A peer writes everybody's token to standard output as it starts, one on a
// line, and then the line by which the benchmark knows that it serves. Its
// module is its own, so that what peers are made of stays out of the product.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

// town is how many come to how many activities, counted from 1.
type town struct{ people, activities int }

var peers = map[string]func(where string, t town) (handler http.Handler, tokens []string, err error){
	"pocketbase": pocketBase, "gva": ginVueAdmin,
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(os.Args) != 5 || peers[os.Args[1]] == nil {
		return errors.New("usage: peers pocketbase|gva WHERE PEOPLE ACTIVITIES")
	}
	people, err := strconv.Atoi(os.Args[3])
	if err != nil {
		return fmt.Errorf("how many people: %w", err)
	}
	activities, err := strconv.Atoi(os.Args[4])
	if err != nil {
		return fmt.Errorf("how many activities: %w", err)
	}
	handler, tokens, err := peers[os.Args[1]](os.Args[2], town{people, activities})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	out := bufio.NewWriter(os.Stdout)
	for _, t := range tokens {
		fmt.Fprintln(out, t)
	}
	fmt.Fprintf(out, "{\"msg\":\"serving\",\"address\":%q}\n", listener.Addr())
	if err := out.Flush(); err != nil {
		return fmt.Errorf("say where: %w", err)
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	go func() {
		<-ctx.Done()
		_ = server.Close()
	}()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}
