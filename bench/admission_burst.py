#!/usr/bin/env python3
"""A cluster that restarts: reviews of 500 images that nobody has looked up, over 200 connections at once, with a registry that takes 50 ms per answer.

    bench/admission_burst.py build/release     (which has archway and admission_bench)

Prints what the slowest review took and how often the registry was asked for each image.
"""
import collections, hashlib, http.server, json, os, pathlib, socketserver, subprocess, sys, tempfile, threading, time

IMAGES, CONNECTIONS, LATENCY = 500, 200, 0.05
asked = collections.Counter()
lock = threading.Lock()


class Registry(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self):
        time.sleep(LATENCY)
        with lock:
            asked[self.path] += 1
        body = json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [
            {"mediaType": "application/vnd.oci.image.manifest.v1+json", "size": 1000, "digest": "sha256:" + hashlib.sha256((self.path + arch).encode()).hexdigest(),
             "platform": {"os": "linux", "architecture": arch}} for arch in ("amd64", "arm64")]}).encode()
        if self.path == "/v2/":
            body = b"{}"
        self.send_response(200)
        self.send_header("Content-Type", "application/vnd.oci.image.index.v1+json")
        self.send_header("Docker-Content-Digest", "sha256:" + hashlib.sha256(body).hexdigest())
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    do_GET = do_HEAD = answer


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 500


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    registry = Server(("127.0.0.1", 0), Registry)
    threading.Thread(target=registry.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1", "-subj", "/CN=w", "-keyout", folder / "key",
                        "-out", folder / "cert"], check=True, capture_output=True)
        files = []
        for number in range(IMAGES):
            review = {"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": {
                "uid": str(number), "kind": {"group": "", "version": "v1", "kind": "Pod"}, "operation": "CREATE", "namespace": "default",
                "object": {"metadata": {"name": f"p-{number}"}, "spec": {"containers": [{"name": "c", "image": f"example.org/team/app-{number}:1"}]}}}}
            files.append(folder / f"{number}.json")
            files[-1].write_text(json.dumps(review))
        server = subprocess.Popen([build / "archway", "admission", "serve", "--listen", "127.0.0.1:0", "--tls-cert-file", folder / "cert", "--tls-private-key-file", folder / "key", "--cache", "none",
                                   "--mirror", f"example.org=http://127.0.0.1:{registry.server_port}", "--log", "none", "--json"], stdout=subprocess.PIPE, text=True)
        port = json.loads(server.stdout.readline())["port"]
        print(subprocess.run([build / "admission_bench", str(port), "5", str(CONNECTIONS), "2000", *map(str, files)], capture_output=True, text=True, check=True).stdout.strip())
        server.terminate()
        server.wait()
    times = collections.Counter(count for path, count in asked.items() if "/manifests/" in path)
    print(f"{len([p for p in asked if '/manifests/' in p])} manifests asked for; so many times each: {dict(times)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
