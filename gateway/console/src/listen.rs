//! The listener: one question a request, one place where an error becomes a response.

use std::io;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use axum::routing::get;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::connection::{Answering, Door};
use crate::{Admin, AdminError, Question, Token};

/// Longest body of a question, in bytes.
const BODY_BYTES_MAX: usize = 64 << 10;
/// Questions answered at a time; the others wait.
const QUESTIONS_AT_A_TIME: usize = 16;

/// What every request needs.
struct Desk {
    admin: Arc<dyn Admin>,
    token: Token,
    turns: Semaphore,
}

/// Answers on `listener` until `stop` is ready and the questions under way are answered.
///
/// `GET /health` is answered to everybody; all else needs `Authorization: Bearer <token>`.
pub async fn serve(
    listener: TcpListener,
    admin: Arc<dyn Admin>,
    token: Token,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let answers = router(admin, token).into_make_service_with_connect_info::<Answering>();
    axum::serve(Door::new(listener), answers).with_graceful_shutdown(stop).await
}

fn router(admin: Arc<dyn Admin>, token: Token) -> Router {
    let desk = Desk { admin, token, turns: Semaphore::new(QUESTIONS_AT_A_TIME) };
    Router::new().route("/health", get(health)).fallback(question).with_state(Arc::new(desk))
}

async fn health() -> Response {
    respond(StatusCode::OK, &json!({"status": "ok"}))
}

async fn question(
    State(desk): State<Arc<Desk>>,
    ConnectInfo(answering): ConnectInfo<Answering>,
    request: Request,
) -> Response {
    match answer(&desk, &answering, request).await {
        Ok(answer) => respond(StatusCode::OK, &answer),
        Err(error) => refuse(&error),
    }
}

async fn answer(desk: &Desk, answering: &Answering, request: Request) -> Result<Value, AdminError> {
    let (parts, body) = request.into_parts();
    let shown =
        parts.headers.get(AUTHORIZATION).is_some_and(|value| desk.token.is_shown_by(value.as_bytes()));
    if !shown {
        let message =
            "the admin token is missing or wrong; it is in the file admin-token of the data directory";
        return Err(AdminError { status: 401, code: "Unauthorized".to_owned(), message: message.to_owned() });
    }
    let body = to_bytes(body, BODY_BYTES_MAX).await;
    let body = body.map_err(|_| AdminError::bad_question("the body broke off or is over 64 KiB"))?;
    let query = parts.uri.query().unwrap_or_default();
    let question = Question::parse(parts.method.as_str(), parts.uri.path(), query, &body);
    let question = question.map_err(|bad| match bad {
        crate::BadQuestion::Unknown { .. } => AdminError::not_found(bad.to_string()),
        crate::BadQuestion::Malformed { .. } => AdminError::bad_question(bad.to_string()),
    })?;
    answering.begin();
    let turn = desk.turns.acquire().await;
    let _turn = turn.map_err(|closed| AdminError::failed(closed.to_string()))?;
    let answer = desk.admin.answer(question).await;
    answering.end();
    answer
}

/// The only place where an error becomes a response.
fn refuse(error: &AdminError) -> Response {
    let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if status.is_server_error() {
        tracing::warn!(code = error.code, error = error.message, "an admin question has no answer");
    }
    let mut response = respond(status, &json!({"code": error.code, "message": error.message}));
    if status == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

fn respond(status: StatusCode, body: &Value) -> Response {
    let mut response = Response::new(Body::from(format!("{body}\n")));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

#[cfg(test)]
mod tests;
