//! Who answers a request: `/healthz`, the native API under `/v1/`, and the clouds' APIs everywhere else.
//!
//! The raw body is read here, before anything is parsed, because signatures cover it.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header::CONTENT_TYPE, request::Parts},
    response::{IntoResponse, Response},
};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::time::timeout;

use sekimori_analysis::lockout::Connection;
use sekimori_cloud::{
    RawRequest, Reply,
    api::{self, Trouble},
};
use sekimori_core::world::Dialect;

use super::{BODY_BYTES_MAX, BODY_TIMEOUT, REQUEST_TIMEOUT};
use crate::{app::App, cloud_api, native, outside};

/// The address that a connection comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// Where each cloud repeats the id of a request.
const ECS_REQUEST_ID: HeaderName = HeaderName::from_static("x-acs-request-id");
const EC2_REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");

/// The whole port.
pub(crate) fn router(app: Arc<App>) -> Router {
    native::router(Arc::clone(&app)).fallback(cloud).with_state(app)
}

/// Where the client of a request has connected to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Local(pub(crate) SocketAddr);

/// The connection that a request came over, as packets have its addresses.
pub(crate) fn connection(extensions: &axum::http::Extensions) -> Option<Connection> {
    let plain = |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
    let (Peer(client), Local(server)) = (extensions.get::<Peer>()?, extensions.get::<Local>()?);
    Some(Connection { client: plain(*client), server: plain(*server) })
}

/// Where a request comes from; unspecified for one that no connection brought.
pub(crate) fn from(extensions: &axum::http::Extensions) -> IpAddr {
    extensions.get::<Peer>().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |Peer(address)| address.ip())
}

async fn cloud(State(app): State<Arc<App>>, request: Request) -> Response {
    let Ok(request_id) = outside::request_id() else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let (parts, body) = request.into_parts();
    let headers = flat(&parts.headers);
    let raw = RawRequest {
        method: parts.method.as_str(),
        path: parts.uri.path(),
        query: parts.uri.query().unwrap_or_default(),
        headers: &headers,
        body: &[],
    };
    let answered = timeout(REQUEST_TIMEOUT, read_and_answer(&app, (&parts, body), raw, &request_id)).await;
    let reply = answered.unwrap_or_else(|_| api::early_fault(&raw, &request_id, Trouble::Unavailable));
    response(reply, &request_id, api::dialect_of(&raw))
}

async fn read_and_answer(app: &App, (parts, body): (&Parts, Body), raw: RawRequest<'_>, request_id: &str) -> Reply {
    let limited = Limited::new(body, BODY_BYTES_MAX).collect();
    let body = match timeout(BODY_TIMEOUT, limited).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let trouble = Trouble::BodyTooLarge { bytes_max: BODY_BYTES_MAX };
            return api::early_fault(&raw, request_id, trouble);
        }
        Ok(Err(_)) | Err(_) => return api::early_fault(&raw, request_id, Trouble::Unavailable),
    };
    let raw = RawRequest { body: &body, ..raw };
    cloud_api::serve(app, &raw, request_id, from(&parts.extensions)).await
}

/// Headers as the signatures see them. A value that is not text takes part with its bytes as Latin-1.
fn flat(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &HeaderValue| match std::str::from_utf8(value.as_bytes()) {
        Ok(text) => text.to_owned(),
        Err(_) => value.as_bytes().iter().copied().map(char::from).collect(),
    };
    headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect()
}

fn response(reply: Reply, request_id: &str, dialect: Dialect) -> Response {
    let header = match dialect {
        Dialect::Ecs => ECS_REQUEST_ID,
        Dialect::Ec2 => EC2_REQUEST_ID,
    };
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, reply.body).into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(reply.content_type));
    if let Ok(value) = HeaderValue::from_str(request_id) {
        response.headers_mut().insert(header, value);
    }
    response
}
