package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// How many agree to be reminded, and how many of them once more.
const (
	agreeing = 20
	again    = 12
)

// reminding is people agreeing to be reminded, and messages that arrive: one
// for each time somebody agreed, never two.
func (s *Story) reminding(ctx context.Context) error {
	s.Chapter("提醒")
	s.turn("09:40")
	if err := s.forecast(ctx, "书记先看微信能提醒到几人", 0); err != nil {
		return err
	}
	if err := s.agree(ctx, s.guests[:agreeing]); err != nil {
		return err
	}
	got, err := s.arrived(ctx, agreeing)
	if err != nil {
		return err
	}
	s.Did(fmt.Sprintf("%d 人打开活动页，点了“同意”；提醒随即到了各自的手机上，每人一条", agreeing), Is("收到的提醒", got, agreeing))
	s.turn("09:50")
	if err := s.agree(ctx, s.guests[:again]); err != nil {
		return err
	}
	if err := s.forecast(ctx, fmt.Sprintf("其中 %d 人又点了一次：会前还可以再提醒一回", again), again); err != nil {
		return err
	}
	s.turn("13:30")
	if got, err = s.arrived(ctx, agreeing+again); err != nil {
		return err
	}
	s.Did(fmt.Sprintf("会前一小时，这 %d 人的手机又响了", again), Is("收到的提醒", got, agreeing+again))
	calls, err := must[list[line]](ctx, s, s.secretary, http.MethodGet, s.path("/calls"), nil)
	if err != nil {
		return err
	}
	s.Did(fmt.Sprintf("提醒不到的 %d 人，电话通知单上有名有姓", len(calls.Items)), Is("要打电话的", len(calls.Items), s.size()-agreeing))
	return nil
}

// forecast reads, once the platform's events are in, how many can be reminded.
func (s *Story) forecast(ctx context.Context, text string, reachable int) error {
	var seen struct {
		Reachable int    `json:"reachable"`
		Sentence  string `json:"sentence"`
	}
	err := s.until(ctx, func() (_ bool, err error) {
		seen, err = must[struct {
			Reachable int    `json:"reachable"`
			Sentence  string `json:"sentence"`
		}](ctx, s, s.secretary, http.MethodGet, s.path("/reach"), nil)
		return seen.Reachable == reachable, err
	})
	if err != nil {
		return err
	}
	s.Did(text, Is("可达", seen.Reachable, reachable))
	s.Note(seen.Sentence)
	return nil
}

// agree is each of the people tapping "accept" on what the page asks for.
func (s *Story) agree(ctx context.Context, people []*phone) error {
	for _, who := range people {
		if err := s.accept(ctx, who, "activity"); err != nil {
			return err
		}
	}
	return nil
}

// accept is one tap on "accept" on what a page asks for first.
func (s *Story) accept(ctx context.Context, who *phone, page string) error {
	asked, err := must[struct {
		TemplateIDs []string `json:"template_ids"`
	}](ctx, s, who, http.MethodGet, "/v1/subscription-requests?purpose="+page, nil)
	if err != nil {
		return err
	}
	if len(asked.TemplateIDs) == 0 {
		return fmt.Errorf("%s 的页面没有请求提醒（%s）", who.Name, page)
	}
	_, err = s.simulate(ctx, "users/"+who.openID+"/accept", map[string]any{"templates": asked.TemplateIDs[:1]})
	return err
}

// arrived counts the messages on everybody's phone, as soon as there are so many.
func (s *Story) arrived(ctx context.Context, expected int) (n int, err error) {
	err = s.until(ctx, func() (bool, error) {
		n = 0
		for _, who := range s.guests {
			messages, err := s.messages(ctx, who)
			if err != nil {
				return false, err
			}
			n += len(messages)
		}
		return n >= expected, nil
	})
	return n, err
}

// message is what the person's phone shows of one.
type message struct {
	Title  string `json:"title"`
	Page   string `json:"page"`
	Fields []struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	} `json:"fields"`
}

// messages are those on the person's phone.
func (s *Story) messages(ctx context.Context, who *phone) (all []message, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Simulator+"/_sim/users/"+who.openID+"/messages", nil)
	if err != nil {
		return nil, fmt.Errorf("messages of %s: %w", who.Name, err)
	}
	_, _, body, err := s.exchange(request)
	if err == nil {
		err = json.Unmarshal(body, &all)
	}
	if err != nil {
		return nil, fmt.Errorf("messages of %s: %w", who.Name, err)
	}
	return all, nil
}

// until looks again for some seconds of real time: messages and events take
// their way through two programs.
func (s *Story) until(ctx context.Context, come func() (bool, error)) error {
	patience, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	look := time.NewTicker(100 * time.Millisecond)
	defer look.Stop()
	for {
		if ok, err := come(); ok || err != nil {
			return err
		}
		select {
		case <-patience.Done():
			return ctx.Err() // what is not as told is in the verdict
		case <-look.C:
		}
	}
}
