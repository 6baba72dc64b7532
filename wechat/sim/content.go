package sim

import (
	"net/url"
	"strings"
	"time"
	"unicode/utf8"
)

// Words that stand for the real thing in text: they are what they say.
const (
	RiskyWord     = "违规样例" // a content check answers risky
	ReviewWord    = "存疑样例" // a content check answers review
	SensitiveWord = "敏感样例" // a subscription message is refused with 45168
)

// Labels of a content check.
const (
	labelGood  = 100
	labelAbuse = 20003
	labelOther = 21000
)

const (
	seenWithin    = 2 * time.Hour
	maxContent    = 2500
	maxSideText   = 500
	probSure      = 90
	sceneProfile  = 1
	sceneLast     = 4
	checkVersion  = 2
	mediaAudio    = 1
	mediaPicture  = 2
	strategyModel = "content_model"
	strategyWords = "keyword"
)

func (s *Sim) contentEndpoints(into map[string]*endpoint) {
	into["wxa/msg_sec_check"] = posted(Limit{PerMinute: 4000, PerDay: 2_000_000}, s.checkText)
	into["wxa/media_check_async"] = posted(Limit{PerMinute: 2000, PerDay: 200_000}, s.checkMedia)
}

type textInput struct {
	Version   int    `json:"version"`
	OpenID    string `json:"openid"`
	Scene     int    `json:"scene"`
	Content   string `json:"content"`
	Title     string `json:"title"`
	Nickname  string `json:"nickname"`
	Signature string `json:"signature"`
}

type textAnswer struct {
	done
	TraceID string   `json:"trace_id"`
	Result  verdict  `json:"result"`
	Detail  []detail `json:"detail"`
}

type verdict struct {
	Suggest string `json:"suggest"`
	Label   int    `json:"label"`
}

// detail is one strategy's finding. One that found nothing carries no more
// than its name and errcode.
type detail struct {
	Strategy string `json:"strategy"`
	ErrCode  int    `json:"errcode"`
	Suggest  string `json:"suggest,omitempty"`
	Label    int    `json:"label,omitzero"`
	Prob     int    `json:"prob,omitzero"`
	Level    int    `json:"level,omitzero"`
	Keyword  string `json:"keyword,omitempty"`
}

// checkText is POST wxa/msg_sec_check, version 2.
func (s *Sim) checkText(c *call, in *textInput) (any, *refusal) {
	if no := s.checkAuthor(c, in.Version, in.OpenID, in.Scene); no != nil {
		return nil, no
	}
	switch {
	case strings.TrimSpace(in.Content) == "":
		return nil, refuse(44002, "empty content")
	case utf8.RuneCountInString(in.Content) > maxContent,
		utf8.RuneCountInString(in.Title) > maxSideText,
		utf8.RuneCountInString(in.Nickname) > maxSideText,
		utf8.RuneCountInString(in.Signature) > maxSideText:
		return nil, refuse(45002, "content size out of limit")
	case in.Signature != "" && in.Scene != sceneProfile:
		return nil, refuse(40097, "invalid args: signature is for scene 1")
	}
	result, word := judge(in.Content, in.Title, in.Nickname, in.Signature)
	found := []detail{
		{Strategy: strategyModel, Suggest: result.Suggest, Label: result.Label, Prob: probSure},
		{Strategy: strategyWords},
	}
	if word != "" {
		found[1] = detail{Strategy: strategyWords, Suggest: result.Suggest, Label: result.Label, Level: probSure, Keyword: word}
	}
	return textAnswer{ok, s.rid(), result, found}, nil
}

// checkAuthor is what both checks ask about the person whose content it is.
func (s *Sim) checkAuthor(c *call, version int, openID string, scene int) *refusal {
	u := s.users[openID]
	switch {
	case version != checkVersion:
		return refuse(40097, "invalid args: version must be 2")
	case u == nil:
		return refuse(40003, "invalid openid")
	case scene < sceneProfile || scene > sceneLast:
		return refuse(40129, "invalid scene")
	case c.now.Sub(u.seen) > seenWithin:
		return refuse(61010, "code is expired")
	}
	return nil
}

func judge(texts ...string) (verdict, string) {
	all := strings.Join(texts, "\n")
	switch {
	case strings.Contains(all, RiskyWord):
		return verdict{"risky", labelAbuse}, RiskyWord
	case strings.Contains(all, ReviewWord):
		return verdict{"review", labelOther}, ReviewWord
	}
	return verdict{"pass", labelGood}, ""
}

type mediaInput struct {
	MediaURL  string `json:"media_url"`
	MediaType int    `json:"media_type"`
	Version   int    `json:"version"`
	OpenID    string `json:"openid"`
	Scene     int    `json:"scene"`
}

type mediaAnswer struct {
	done
	TraceID string `json:"trace_id"`
}

// checkMedia is POST wxa/media_check_async, version 2. The finding comes as an
// event; it is read from the URL, which is not fetched: one that contains
// "risky" or "review" is that.
func (s *Sim) checkMedia(c *call, in *mediaInput) (any, *refusal) {
	if no := s.checkAuthor(c, in.Version, in.OpenID, in.Scene); no != nil {
		return nil, no
	}
	link, err := url.Parse(in.MediaURL)
	switch {
	case in.MediaType != mediaAudio && in.MediaType != mediaPicture:
		return nil, refuse(40097, "invalid args: media_type")
	case err != nil || link.Host == "" || link.Scheme != "http" && link.Scheme != "https":
		return nil, refuse(40097, "invalid args: media_url")
	}
	result := verdict{"pass", labelGood}
	switch {
	case strings.Contains(in.MediaURL, "risky"):
		result = verdict{"risky", labelAbuse}
	case strings.Contains(in.MediaURL, "review"):
		result = verdict{"review", labelOther}
	}
	trace := s.rid()
	s.pushes.enqueue(mediaEvent(s.cfg, in.OpenID, c.now, trace, result))
	return mediaAnswer{ok, trace}, nil
}
