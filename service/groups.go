package service

import (
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"dangri/model"
)

// groups is calls that travel together: whoever comes while a group is served
// rides with the next one, so that a crowd shares round trips and commits, and
// a single call waits for nobody. Each caller has an answer of their own.
type groups[Q, A any] struct {
	waiting chan *rider[Q, A]
	most    int                                   // in one group
	serve   func(context.Context, []*rider[Q, A]) // answers everybody in the group
}

// rider is one call on its way.
type rider[Q, A any] struct {
	question Q
	done     chan struct{} // closed when answered
	answered bool
	out      A
	err      error
}

const (
	groupsAtOnce  = 2                // one group is read while another commits
	groupPatience = 10 * time.Second // for one group
)

// newGroups makes groups of at most so many calls; beyond queue waiting ones
// callers are asked to come again.
func newGroups[Q, A any](most, queue int, serve func(context.Context, []*rider[Q, A])) *groups[Q, A] {
	return &groups[Q, A]{waiting: make(chan *rider[Q, A], queue), most: most, serve: serve}
}

// ask waits for the answer; a caller who hangs up leaves the call to run its course.
func (g *groups[Q, A]) ask(ctx context.Context, question Q) (out A, err error) {
	c := &rider[Q, A]{question: question, done: make(chan struct{})}
	select {
	case g.waiting <- c:
	default:
		return out, model.ErrUnavailable
	}
	select {
	case <-c.done:
		return c.out, c.err
	case <-ctx.Done():
		return out, ctx.Err()
	}
}

// tell leaves something to do for which nobody waits. While too much waits
// already it is left undone.
func (g *groups[Q, A]) tell(question Q) {
	select {
	case g.waiting <- &rider[Q, A]{question: question, done: make(chan struct{})}:
	default:
	}
}

// answer gives the caller their answer, or a fault. The first one stands. For
// the goroutine alone that serves the group.
func (c *rider[Q, A]) answer(out A, err error) {
	if !c.answered {
		c.out, c.err, c.answered = out, err, true
		close(c.done)
	}
}

// keepServing serves groups until ctx ends.
func (g *groups[Q, A]) keepServing(ctx context.Context) error {
	var servers errgroup.Group
	for range groupsAtOnce {
		servers.Go(func() error {
			for {
				select {
				case <-ctx.Done():
					return nil
				case first := <-g.waiting:
					g.serveOrFail(context.WithoutCancel(ctx), g.behind(first))
				}
			}
		})
	}
	return servers.Wait()
}

// behind is the first call and all that wait behind it.
func (g *groups[Q, A]) behind(first *rider[Q, A]) []*rider[Q, A] {
	group := []*rider[Q, A]{first}
	for len(group) < g.most {
		select {
		case c := <-g.waiting:
			group = append(group, c)
		default:
			return group
		}
	}
	return group
}

// serveOrFail turns a panic into a fault of the whole group: nobody else is
// here to answer its callers, and others wait behind them.
func (g *groups[Q, A]) serveOrFail(ctx context.Context, group []*rider[Q, A]) {
	ctx, cancel := context.WithTimeout(ctx, groupPatience)
	defer cancel()
	defer func() {
		if v := recover(); v != nil {
			failAll(group, fmt.Errorf("panic: %v\n%s", v, debug.Stack()))
		}
	}()
	g.serve(ctx, group)
}

// failAll answers with a fault whoever has no answer yet.
func failAll[Q, A any](group []*rider[Q, A], err error) {
	var none A
	for _, c := range group {
		c.answer(none, err)
	}
}

// questions is what the callers of a group ask.
func questions[Q, A any](group []*rider[Q, A]) []Q {
	out := make([]Q, len(group))
	for i, c := range group {
		out[i] = c.question
	}
	return out
}

// distinct is a number of each, sorted, each number once.
func distinct[T any](all []T, of func(T) uint64) []uint64 {
	ids := make([]uint64, len(all))
	for i, one := range all {
		ids[i] = of(one)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}
