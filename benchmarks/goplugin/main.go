// The peer go-plugin (gRPC, Go on both sides): a host that starts a copy of this program as its plugin.
//
// As a host it takes one JSON line per measurement on stdin and answers each with one on stdout, like
// the drivers of all other contestants. What is measured is go-plugin's usual set-up: the default
// codec, no TLS, the stock client and server.
package main

import (
	"bufio"
	"encoding/json"
	"os"
	"time"
)

type order struct {
	Verb    string  `json:"verb"`
	Seconds float64 `json:"seconds"`
}

func main() {
	if os.Getenv(handshake.MagicCookieKey) == handshake.MagicCookieValue {
		servePlugin()
		return
	}
	host, err := startPlugin()
	exitOn(err)
	defer host.stop()
	answers := json.NewEncoder(os.Stdout)
	exitOn(answers.Encode(struct{}{}))
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var todo order
		exitOn(json.Unmarshal(lines.Bytes(), &todo))
		exitOn(host.warmUp())
		answer, err := host.measure(todo.Verb, time.Duration(todo.Seconds*float64(time.Second)))
		exitOn(err)
		exitOn(answers.Encode(answer))
	}
}

func (h *host) measure(verb string, span time.Duration) (interface{}, error) {
	switch verb {
	case "rtt":
		return h.roundTrip(span)
	case "flight":
		return h.inFlight(span)
	case "big":
		return h.big(span)
	case "cold":
		return coldStart()
	}
	return map[string]string{"error": "unknown verb " + verb}, nil
}

func exitOn(err error) {
	if err != nil {
		os.Stderr.WriteString("goplugin: " + err.Error() + "\n")
		os.Exit(1)
	}
}
