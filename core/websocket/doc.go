// Package websocket lets clients in that speak their protocol in the frames of a
// WebSocket (RFC 6455): browsers, and whoever sits behind a proxy that passes on
// nothing but HTTP. Upgrade reads the request, and what comes of it is a net.Conn
// of the bytes in the frames, which the protocols take as they take a socket. Frames
// and compression are nhooyr.io/websocket's. What is spoken is decided by the path of
// the request, and is not for this package to know. It is no promise to other programs:
// it changes without notice.
package websocket
