package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"slices"
	"strings"

	"github.com/frondmq/frond/core/jetstream/apierror"
)

// decode reads a request's JSON. In strict mode members that are not known
// are errors.
func (s *Server) decode(body []byte, v any) *apierror.Error {
	if len(bytes.TrimSpace(body)) == 0 {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(body))
	if s.o.Strict {
		d.DisallowUnknownFields()
	}
	err := d.Decode(v)
	for err == nil {
		// What follows must be right too.
		if err = d.Decode(v); err == io.EOF {
			return nil
		}
	}
	return jsonError(err)
}

// decodeOptional is decode for requests that may come without a body: what
// does not begin like JSON counts as none.
func (s *Server) decodeOptional(body []byte, v any) *apierror.Error {
	body = bytes.TrimLeft(body, " \t\r\n")
	if len(body) == 0 || body[0] != '{' && body[0] != '[' {
		return nil
	}
	return s.decode(body, v)
}

// openFor reads a request about messages of one stream, which must say something,
// and finds the stream. What is wrong with the request is told first.
func (s *Server) openFor(r *Request, name string, req any) (Stream, *apierror.Error) {
	if err := s.decode(r.Body, req); err != nil {
		return nil, err
	}
	if emptyBody(r.Body) {
		return nil, errBadRequest
	}
	return r.Account.Stream(name)
}

func jsonError(err error) *apierror.Error {
	if err == nil {
		return nil
	}
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return errInvalidJSON.With("invalid JSON: %v at offset %d", err, syntax.Offset)
	}
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		return errInvalidJSON.With("invalid JSON: json: cannot unmarshal %s into %s", wrong.Value, jsonPlace(wrong))
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return errInvalidJSON.With("invalid JSON: %v", err)
}

// jsonPlace is where a value does not fit, in the words of JSON: the names of
// our types say nothing to a client.
func jsonPlace(e *json.UnmarshalTypeError) string {
	t := e.Type
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	kind := t.Kind().String()
	switch t.Kind() {
	case reflect.Struct, reflect.Map:
		kind = "object"
	case reflect.Slice, reflect.Array:
		kind = "array"
	case reflect.Int, reflect.Int64, reflect.Uint64:
		kind = "integer"
	}
	// Structs that are embedded are in the path too; no member of the protocol
	// begins with a capital letter.
	path := slices.DeleteFunc(strings.Split(e.Field, "."), func(name string) bool {
		return name == "" || name[0] >= 'A' && name[0] <= 'Z'
	})
	if len(path) == 0 {
		return kind
	}
	return "field " + strings.Join(path, ".") + " of type " + kind
}

// emptyBody reports whether a request has nothing to say.
func emptyBody(b []byte) bool {
	if len(b) == 0 || string(b) == "{}" {
		return true
	}
	var m map[string]json.RawMessage
	return json.Unmarshal(b, &m) == nil && m != nil && len(m) == 0 // null is something
}

// page cuts one page out of n entries.
func page(n, offset, limit int) (from, to int, p paged) {
	from = min(max(offset, 0), n)
	to = min(from+limit, n)
	return from, to, paged{Total: n, Offset: from, Limit: limit}
}
