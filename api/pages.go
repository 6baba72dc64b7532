package api

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"net/http"

	"github.com/gin-gonic/gin"
	swgui "github.com/swaggest/swgui"
	"github.com/swaggest/swgui/v5emb"

	"dangri/model"
)

//go:embed pages/scan.html
var scanPage []byte

//go:embed pages/screen.html
var screenPage []byte

var linkPage = func() []byte {
	var b bytes.Buffer
	if err := template.Must(template.ParseFS(papers, "pages/link.html")).Execute(&b, paperPath); err != nil {
		panic(err) // the page is part of the program
	}
	return b.Bytes()
}()

//go:embed pages/index.html
var indexPage []byte

//go:embed pages
var papers embed.FS

// paper is a page that is printed on A4; all of them look alike.
func paper(name string) *template.Template {
	return template.Must(template.ParseFS(papers, "pages/"+name+".html", "pages/paper.html"))
}

// drawn draws what a use case answered as a page.
func drawn(page *template.Template) func(any, error) ([]byte, error) {
	return func(v any, err error) ([]byte, error) {
		if err != nil {
			return nil, err
		}
		var b bytes.Buffer
		if err := page.Execute(&b, v); err != nil {
			return nil, fmt.Errorf("draw page %s: %w", page.Name(), err)
		}
		return b.Bytes(), nil
	}
}

// pages are what a browser sees: the front page, the documentation, the big
// screen, papers on a computer and the landing page of a code scanned outside
// WeChat. Nothing is loaded from elsewhere.
func pages(engine *gin.Engine) {
	page := func(body []byte) gin.HandlerFunc {
		return func(g *gin.Context) { g.Data(http.StatusOK, html, body) }
	}
	engine.GET("/", page(indexPage))
	engine.GET("/c/:code", page(scanPage))
	engine.GET("/s/:code", page(scanPage))
	engine.GET("/screen", page(screenPage))
	engine.GET("/paper", page(linkPage))
	engine.GET("/favicon.ico", func(g *gin.Context) { g.Status(http.StatusNoContent) })
	docs := v5emb.NewHandlerWithConfig(swgui.Config{Title: "党日 API", SwaggerJSON: "/openapi.json", BasePath: "/docs/", HideCurl: true})
	engine.GET("/docs/*any", func(g *gin.Context) {
		w := &unlessMissing{ResponseWriter: g.Writer}
		if docs.ServeHTTP(w, g.Request); w.missing {
			answerRefusal(g.Writer, model.ErrNotFound)
		}
	})
	engine.GET("/docs", func(g *gin.Context) { g.Redirect(http.StatusMovedPermanently, "/docs/") })
}

// unlessMissing passes on an answer unless it is that there is nothing: that is
// said as everywhere else.
type unlessMissing struct {
	http.ResponseWriter
	missing bool
}

func (w *unlessMissing) WriteHeader(status int) {
	if w.missing = status == http.StatusNotFound; !w.missing {
		w.ResponseWriter.WriteHeader(status)
	}
}

func (w *unlessMissing) Write(b []byte) (int, error) {
	if w.missing {
		return len(b), nil
	}
	return w.ResponseWriter.Write(b)
}

// health answers the watchers: healthz that the process lives, readyz that it
// can work. One that is about to leave says so to both.
func health(engine *gin.Engine, c Config) {
	watched := engine.Group("", func(g *gin.Context) {
		if c.leaving() {
			g.AbortWithStatusJSON(http.StatusServiceUnavailable, gin.H{"leaving": true})
		}
	})
	watched.GET("/healthz", func(g *gin.Context) { g.JSON(http.StatusOK, gin.H{"ok": true}) })
	watched.GET("/readyz", func(g *gin.Context) {
		r := c.Services.Health.Ready(g.Request.Context())
		status := http.StatusOK
		if !r.Ready {
			status = http.StatusServiceUnavailable
		}
		g.JSON(status, r)
	})
}
