"""Between archway and an API server: writes down what is asked, and makes things happen in the middle.

    python3 tests/cluster_proxy.py URL LOG [--limit N] [--before REGEX COMMAND]... [--once REGEX STATUS]... [--end-at REGEX]

Prints its address. --limit: pages are N long, whatever is asked for. --before: the first request that matches waits for the command.
--once: the first request that matches is answered so. --end-at: at the first request that matches, nobody is there any more.
Answers CONNECT as well, as a proxy of companies does; LOG has "CONNECT host:port" then.
"""
import http.client, http.server, os, re, socket, ssl, subprocess, sys, threading, urllib.parse

HOPS = {"connection", "keep-alive", "transfer-encoding", "content-length", "host"}


class Proxy(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    lock = threading.Lock()
    limit, before, once, end_at = None, [], [], None

    def note(self):
        with Proxy.lock:
            Proxy.log.write("%s %s\n" % (self.command, self.path))
            Proxy.log.flush()
            if Proxy.end_at and re.search(Proxy.end_at, self.path):
                os._exit(0)
            for rule in Proxy.before[:]:
                if re.search(rule[0], self.path):
                    Proxy.before.remove(rule)
                    subprocess.run(rule[1], shell=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            for rule in Proxy.once[:]:
                if re.search(rule[0], self.path):
                    Proxy.once.remove(rule)
                    return int(rule[1])
        return None

    def forward(self):
        status = self.note()
        if status is not None:
            return self.answer(status, [("Content-Type", "application/json")], b'{"kind":"Status","apiVersion":"v1","status":"Failure","message":"the proxy says so","code":%d}' % status)
        path = self.path
        if Proxy.limit:
            path = re.sub(r"limit=\d+", "limit=%d" % Proxy.limit, path)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        upstream = http.client.HTTPSConnection(Proxy.upstream, context=ssl._create_unverified_context())
        upstream.request(self.command, path, body or None, {k: v for k, v in self.headers.items() if k.lower() not in HOPS and k.lower() != "accept-encoding"})
        answer = upstream.getresponse()
        self.answer(answer.status, [(k, v) for k, v in answer.getheaders() if k.lower() not in HOPS], answer.read())
        upstream.close()

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = forward

    def answer(self, status, headers, body):
        self.send_response(status)
        for key, value in headers:
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_CONNECT(self):
        self.note()
        host, port = self.path.rsplit(":", 1)
        there = socket.create_connection((host, int(port)))
        self.send_response(200)
        self.end_headers()

        def copy(a, b):
            try:
                while data := a.recv(65536):
                    b.sendall(data)
            except OSError:
                pass
            for end in (a, b):
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
        back = threading.Thread(target=copy, args=(there, self.connection))
        back.start()
        copy(self.connection, there)
        back.join()
        self.close_connection = True

    def log_message(self, *args):
        pass


def main(url, log, *flags):
    Proxy.upstream, Proxy.log, flags = urllib.parse.urlparse(url).netloc, open(log, "a"), list(flags)
    while flags:
        flag = flags.pop(0)
        if flag == "--limit":
            Proxy.limit = int(flags.pop(0))
        elif flag == "--end-at":
            Proxy.end_at = flags.pop(0)
        else:
            {"--before": Proxy.before, "--once": Proxy.once}[flag].append((flags.pop(0), flags.pop(0)))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    server.daemon_threads = True
    print("127.0.0.1:%d" % server.server_port, flush=True)
    server.serve_forever()


main(*sys.argv[1:])
