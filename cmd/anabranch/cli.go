package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/anabranchdb/anabranch/client"
)

// absentError is the error of a question whose answer is no.
type absentError string

func (e absentError) Error() string { return string(e) }

// cli is what the commands share: where they read and print, and the global flags.
type cli struct {
	in          io.Reader
	out, errOut io.Writer

	addr         string
	ns           string
	json         bool
	context      string
	printContext bool
	ifMatch      string
	ifAbsent     bool
	printETag    bool
	wait         time.Duration
	timeout      time.Duration
	acks         int
	// retries is how often a call is sent again: see client.Options.
	retries int
}

// data returns the path of something in the namespace.
func (c *cli) data(segments ...string) []string {
	return append([]string{"v1", "ns", c.ns}, segments...)
}

// do sends a request and prints the reply: the token with --print-context, the ETag with --print-etag, the reply as it came
// with --json, and what show makes of it otherwise. A nil show prints nothing.
func (c *cli) do(cmd *cobra.Command, req client.Request, show func(body []byte) error) error {
	if c.printETag {
		req.Query = nil // only a whole object has one
	}
	reply, err := c.call(cmd, req)
	if err != nil {
		return err
	}
	if err := c.show(reply, show); err != nil {
		return err
	}
	return c.acknowledged(reply)
}

// acknowledged returns an error when --acks asked for more peers than have a write.
func (c *cli) acknowledged(reply *client.Reply) error {
	if c.acks > 0 && reply.Status == http.StatusAccepted {
		return fmt.Errorf("%w: written at this daemon; %s of %d peers have told that they hold it", errNotReached, reply.Header.Get("Anabranch-Acks"), c.acks)
	}
	return nil
}

// show prints a reply as do says.
func (c *cli) show(reply *client.Reply, show func(body []byte) error) error {
	switch {
	case c.printETag && reply.ETag() == "":
		return errors.New("the reply has no ETag: only whole objects have one")
	case c.printETag:
		return c.println(reply.ETag())
	case c.printContext:
		return c.println(reply.Context())
	case c.json:
		return c.raw(reply.Body)
	case show == nil || len(reply.Body) == 0:
		return nil
	}
	return show(reply.Body)
}

// call sends a request with the token and the limits of the global flags, and reads the reply.
func (c *cli) call(cmd *cobra.Command, req client.Request) (reply *client.Reply, err error) {
	err = c.with(cmd, &req, c.timeout, func(ctx context.Context, cl *client.Client) (string, error) {
		if reply, err = cl.Do(ctx, req); err != nil {
			return "", err
		}
		return reply.Context(), nil
	})
	return reply, err
}

// stream is call for a reply of any size, which is written to w.
func (c *cli) stream(cmd *cobra.Command, req client.Request, w io.Writer, timeout time.Duration) (reply *client.Reply, err error) {
	err = c.with(cmd, &req, timeout, func(ctx context.Context, cl *client.Client) (string, error) {
		if reply, err = cl.Stream(ctx, req, w); err != nil {
			return "", err
		}
		return reply.Context(), nil
	})
	return reply, err
}

// with has f make a request as the global flags say, and keeps the token that it returns. A timeout of
// 0 is none.
func (c *cli) with(cmd *cobra.Command, req *client.Request, timeout time.Duration, f func(context.Context, *client.Client) (token string, err error)) error {
	cl, err := client.New(c.addr, client.Options{Retries: c.retries})
	if err != nil {
		return err
	}
	defer cl.Close()
	token, jar, err := c.token()
	if err != nil {
		return err
	}
	if req.Context = token; (token != "" || c.acks > 0) && req.Wait == 0 {
		req.Wait = c.wait
	}
	if req.Acks, req.IfMatch = c.acks, c.ifMatch; c.ifAbsent {
		req.IfNoneMatch = "*"
	}
	ctx := cmd.Context()
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout+c.wait)
		defer cancel()
	}
	if token, err = f(ctx, cl); err != nil {
		var p *client.Problem
		if c.json && errors.As(err, &p) {
			_ = c.raw(p.Body)
		}
		return err
	}
	if jar != "" && token != "" {
		return keep(jar, token)
	}
	return nil
}

// handle returns the namespace, with what the global flags have put into a request.
func (c *cli) handle(cl *client.Client, req client.Request) *client.Namespace {
	return cl.Namespace(c.ns, func(r *client.Request) {
		r.Context, r.Wait, r.Acks, r.IfMatch, r.IfNoneMatch = req.Context, req.Wait, req.Acks, req.IfMatch, req.IfNoneMatch
	})
}

// token returns the token of --context, and the file to keep the next one in for @FILE.
func (c *cli) token() (token, jar string, err error) {
	path, ok := strings.CutPrefix(c.context, "@")
	if !ok {
		return c.context, "", nil
	}
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", "", err
	}
	return strings.TrimSpace(string(text)), path, nil
}

// keep writes a token so that nobody reads half of it.
func keep(path, token string) error {
	return writeFile(path, func(w io.Writer) error {
		_, err := io.WriteString(w, token+"\n")
		return err
	})
}

func (c *cli) println(s string) error {
	_, err := fmt.Fprintln(c.out, s)
	return err
}

// raw prints a reply as it came, ended by a newline.
func (c *cli) raw(body []byte) error {
	if len(body) == 0 {
		return nil
	}
	if !bytes.HasSuffix(body, []byte("\n")) {
		body = append(body, '\n')
	}
	_, err := c.out.Write(body)
	return err
}

// line makes a name fit on one line of a terminal: a name with characters that do not print, and
// one that begins like this form, is written as a JSON string.
func line(name string) string {
	odd := func(r rune) bool { return !unicode.IsPrint(r) }
	if name != "" && name[0] != '"' && !strings.ContainsFunc(name, odd) && name == strings.TrimSpace(name) {
		return name
	}
	quoted, err := encode(name)
	if err != nil {
		return strconv.QuoteToASCII(name)
	}
	var b strings.Builder
	for _, r := range strings.TrimSuffix(string(quoted), "\n") {
		if unicode.IsPrint(r) {
			b.WriteRune(r)
			continue
		}
		for _, unit := range utf16.Encode([]rune{r}) {
			fmt.Fprintf(&b, "\\u%04x", unit)
		}
	}
	return b.String()
}

// number takes both forms of a number on the wire, 42 and "9007199254740993".
func number(raw json.RawMessage) string { return strings.Trim(string(raw), `"`) }

// decode reads a reply.
func decode(body []byte, into any) error {
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("the reply is not what the API promises: %w", err)
	}
	return nil
}

// encode makes a request's body.
func encode(value any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(value)
	return b.Bytes(), err
}

// names is a check of arguments: between least and most of them (most < 0: any number), and all
// of them names. Text that is not UTF-8 would be changed silently inside a JSON body.
func names(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < least || most >= 0 && len(args) > most {
			plural := "s"
			if len(args) == 1 {
				plural = ""
			}
			return usagef("%d argument%s; the form is: %s", len(args), plural, cmd.UseLine())
		}
		for _, a := range args {
			if a == "" || !utf8.ValidString(a) {
				return usagef("%q is not a name: a name is UTF-8 and not empty", a)
			}
		}
		return nil
	}
}

// page holds the flags of a command that lists.
type page struct {
	limit  int
	cursor string
	prefix string
}

func (p *page) add(cmd *cobra.Command, what string) {
	cmd.Flags().StringVar(&p.prefix, "prefix", "", "only "+what+" that begin with this `text`")
	p.addPage(cmd)
}

func (p *page) addPage(cmd *cobra.Command) {
	cmd.Flags().IntVar(&p.limit, "limit", 0, "print one page of at most `N`, and the cursor of the next one on standard error; without it, everything")
	cmd.Flags().StringVar(&p.cursor, "cursor", "", "go on from this `cursor`")
}

func (p *page) query() url.Values {
	q := url.Values{}
	if p.prefix != "" {
		q.Set("prefix", p.prefix)
	}
	if p.limit != 0 {
		q.Set("limit", strconv.Itoa(p.limit))
	}
	if p.cursor != "" {
		q.Set("cursor", p.cursor)
	}
	return q
}

// pages prints all pages, or with a limit the one page asked for. show prints one page and returns
// the cursor of the next, if any.
func (c *cli) pages(cmd *cobra.Command, p page, path []string, show func(body []byte) (next string, err error)) error {
	all := p.limit == 0
	if all && !c.json {
		p.limit = 1000 // the most that a page holds
	}
	return c.follow(cmd, client.Request{Method: "GET", Path: path, Query: p.query()}, all, show)
}

// follow prints a page, and with all the pages after it too. A reply that is printed as it came,
// and a token, stay the only one.
func (c *cli) follow(cmd *cobra.Command, req client.Request, all bool, show func(body []byte) (next string, err error)) error {
	for {
		next := ""
		err := c.do(cmd, req, func(body []byte) (err error) {
			next, err = show(body)
			return err
		})
		if err != nil || next == "" {
			return err
		}
		if !all {
			_, err := fmt.Fprintf(c.errOut, "more: --cursor %s\n", next)
			return err
		}
		req.Query.Set("cursor", next)
	}
}
