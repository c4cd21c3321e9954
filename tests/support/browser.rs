//! A real browser without a window: Chromium, told what to do through its debugging pipe.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// How long a test waits for anything; the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);

const PROGRAMS: [&str; 4] = [
    "chromium-headless-shell",
    "chromium",
    "chromium-browser",
    "google-chrome",
];

/// A running browser with one page. Killed when dropped.
pub struct Browser {
    child: Child,
    requests: File,
    answers: Receiver<Value>,
    session: Value,
    number: u64,
    events: Vec<Value>,
    _directory: tempfile::TempDir,
}

/// The browser, or `None` and a line that says so where none is installed.
pub fn browser(test: &str) -> Option<Browser> {
    let runs = |program: &&&str| {
        let version = Command::new(program).arg("--version").output();
        version.is_ok_and(|output| output.status.success())
    };
    match PROGRAMS.iter().find(runs) {
        Some(program) => Some(Browser::start(program)),
        None => {
            eprintln!(
                "SKIPPED {test}: no browser is installed; ./test.sh --prepare installs chromium-headless-shell"
            );
            None
        }
    }
}

impl Browser {
    fn start(program: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let path = |name: &str| directory.path().join(name);
        for name in ["in", "out"] {
            let made = Command::new("mkfifo").arg(path(name)).status();
            assert!(made.expect("mkfifo runs").success());
        }
        // Both ways at once, so that opening waits for nobody.
        let open = |path: &Path| {
            let pipe = OpenOptions::new().read(true).write(true).open(path);
            pipe.expect("a pipe")
        };
        let (requests, out) = (open(&path("in")), open(&path("out")));
        let child = Command::new("sh")
            .args(["-c", "exec \"$0\" \"$@\" 3<in 4>out", program])
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--disable-background-networking",
                "--no-first-run",
                "--remote-debugging-pipe",
                "--window-size=1280,800",
            ])
            .arg(format!("--user-data-dir={}", path("profile").display()))
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the browser starts");
        let (send, answers) = channel();
        std::thread::spawn(move || {
            let messages = BufReader::new(out).split(0).map_while(Result::ok);
            for message in messages {
                let message = serde_json::from_slice(&message).expect("JSON");
                if send.send(message).is_err() {
                    return;
                }
            }
        });
        let mut browser = Self {
            child,
            requests,
            answers,
            session: Value::Null,
            number: 0,
            events: Vec::new(),
            _directory: directory,
        };
        let target = browser.call("Target.createTarget", json!({"url": "about:blank"}));
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        browser.session = browser.call("Target.attachToTarget", attach)["sessionId"].clone();
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        browser
    }

    /// Calls a method of the DevTools protocol and returns its result. Events on the way are kept.
    #[track_caller]
    pub fn call(&mut self, method: &str, parameters: Value) -> Value {
        let result = self.try_call(method, parameters);
        result.unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    #[track_caller]
    fn try_call(&mut self, method: &str, parameters: Value) -> Result<Value, String> {
        self.number += 1;
        let mut message = json!({"id": self.number, "method": method, "params": parameters});
        if !self.session.is_null() {
            message["sessionId"] = self.session.clone();
        }
        let text = format!("{message}\0");
        self.requests.write_all(text.as_bytes()).expect("sent");
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let answer = self.answers.recv_timeout(left);
            let answer = answer.unwrap_or_else(|_| panic!("the browser says nothing to {method}"));
            if answer["id"] == self.number {
                return match &answer["error"] {
                    Value::Null => Ok(answer["result"].clone()),
                    error => Err(error.to_string()),
                };
            }
            // A dialog stops the page; it must not stop the test that reports it.
            if answer["method"] == "Page.javascriptDialogOpening" {
                let close = json!({
                    "id": 0, "method": "Page.handleJavaScriptDialog", "sessionId": self.session,
                    "params": {"accept": false},
                });
                let text = format!("{close}\0");
                self.requests.write_all(text.as_bytes()).expect("sent");
            }
            self.events.push(answer);
        }
    }

    /// Opens a page and waits until it is loaded.
    #[track_caller]
    pub fn open(&mut self, url: &str) {
        // Another page first: a step to another fragment alone would load nothing.
        self.call("Page.navigate", json!({"url": "about:blank"}));
        self.call("Page.navigate", json!({"url": url}));
        self.wait("location.href != 'about:blank' && document.readyState == 'complete'");
    }

    /// The value of a JavaScript expression in the page.
    #[track_caller]
    pub fn value(&mut self, expression: &str) -> Value {
        let value = self.try_value(expression);
        value.unwrap_or_else(|error| panic!("{expression}: {error}"))
    }

    #[track_caller]
    fn try_value(&mut self, expression: &str) -> Result<Value, String> {
        let parameters =
            json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let result = self.try_call("Runtime.evaluate", parameters)?;
        match &result["exceptionDetails"] {
            Value::Null => Ok(result["result"]["value"].clone()),
            exception => Err(exception.to_string()),
        }
    }

    /// The same as text.
    #[track_caller]
    pub fn text(&mut self, expression: &str) -> String {
        let value = self.value(expression);
        value
            .as_str()
            .unwrap_or_else(|| panic!("{expression} is {value}"))
            .to_owned()
    }

    /// Waits until an expression is true. It may fail meanwhile: pages come and go.
    #[track_caller]
    pub fn wait(&mut self, expression: &str) {
        let deadline = Instant::now() + PATIENCE;
        while self.try_value(expression) != Ok(true.into()) {
            if Instant::now() > deadline {
                let shown = self.value("document.body.innerText");
                panic!("not within {PATIENCE:?}: {expression}\nthe page shows {shown}");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until the page shows a text.
    #[track_caller]
    pub fn wait_for_text(&mut self, text: &str) {
        self.wait(&format!("document.body.innerText.includes({text:?})"));
    }

    /// Clicks on the first element of a selector whose text contains `text`, once there is one.
    #[track_caller]
    pub fn click(&mut self, selector: &str, text: &str) {
        let find = format!(
            "[...document.querySelectorAll({selector:?})].find((e) => e.textContent.includes({text:?}))"
        );
        self.wait(&format!("Boolean({find})"));
        self.value(&format!("{find}.click()"));
    }

    /// Types a text, key by key, where the focus is.
    pub fn type_text(&mut self, text: &str) {
        for character in text.chars() {
            let key = character.to_string();
            let event = |kind: &str| json!({"type": kind, "text": key, "key": key});
            self.call("Input.dispatchKeyEvent", event("keyDown"));
            self.call(
                "Input.dispatchKeyEvent",
                json!({"type": "keyUp", "key": key}),
            );
        }
    }

    /// Presses a key that writes nothing, such as `Tab`.
    pub fn press(&mut self, key: &str, code: u32) {
        for kind in ["rawKeyDown", "keyUp"] {
            let event =
                json!({"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code});
            self.call("Input.dispatchKeyEvent", event);
        }
    }

    fn events(&mut self, method: &str) -> Vec<Value> {
        // Whatever happened before is told before this answer.
        self.value("1");
        let events = self.events.iter();
        let events = events.filter(|event| event["method"] == method);
        events.map(|event| event["params"].clone()).collect()
    }

    /// Every URL that the page has asked for.
    pub fn requests(&mut self) -> Vec<String> {
        let events = self.events("Network.requestWillBeSent");
        let url = |event: &Value| event["request"]["url"].as_str().map(str::to_owned);
        let urls = events.iter().filter_map(url);
        urls.filter(|url| url != "about:blank").collect()
    }

    /// Bytes of the bodies and heads of every answer.
    pub fn received_bytes(&mut self) -> u64 {
        let events = self.events("Network.loadingFinished");
        let bytes = |event: &Value| event["encodedDataLength"].as_f64().unwrap_or_default();
        events.iter().map(bytes).sum::<f64>() as u64
    }

    /// What the page complained about: errors on the console, exceptions, refusals by its policy, dialogs.
    pub fn complaints(&mut self) -> Vec<String> {
        let mut all = Vec::new();
        for event in self.events("Runtime.consoleAPICalled") {
            if event["type"] == "error" || event["type"] == "warning" {
                all.push(event.to_string());
            }
        }
        for event in self.events("Log.entryAdded") {
            if event["entry"]["level"] == "error" || event["entry"]["level"] == "warning" {
                all.push(event.to_string());
            }
        }
        for method in ["Runtime.exceptionThrown", "Page.javascriptDialogOpening"] {
            all.extend(self.events(method).iter().map(Value::to_string));
        }
        all
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
