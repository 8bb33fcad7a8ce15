package wire

import "net/http"

// maxHops is how many redirects of one GET are followed (S9).
const maxHops = 3

// checkRedirect hands a redirect that may not be followed back as the answer, so
// that its reader can say what came instead of JSON (protocol rule 2.4).
func checkRedirect(req *http.Request, _ []*http.Request) error {
	if checkHop(req) != nil {
		return http.ErrUseLastResponse
	}
	return nil
}

// checkHop lets a request pass that follows no redirect, or a redirect within its
// origin of a GET that carried no Authorization. The transport asks it as well,
// since a copy of the client may have lost CheckRedirect.
func checkHop(req *http.Request) error {
	hops := 0
	for r := req; r.Response != nil && r.Response.Request != nil; r = r.Response.Request {
		before := r.Response.Request
		hops++
		switch {
		case before.Method != http.MethodGet && before.Method != http.MethodHead && before.Method != "":
			return &Blocked{Host: req.URL.Host, Reason: "a redirect of something else than a GET"}
		case len(before.Header.Values("Authorization")) > 0 || len(r.Header.Values("Authorization")) > 0:
			return &Blocked{Host: req.URL.Host, Reason: "a redirect of a request with a credential"}
		case r.URL.User != nil || originOf(r.URL) == "" || originOf(r.URL) != originOf(before.URL):
			return &Blocked{Host: req.URL.Host, Reason: "a redirect to another origin"}
		case hops > maxHops:
			return &Blocked{Host: req.URL.Host, Reason: "too many redirects"}
		}
	}
	return nil
}
