//! PutObject

use std::sync::Arc;

use http::Response;
use model::catalog::Change;
use model::{Body, TapeClass};

use crate::direct;
use crate::error::Result;
use crate::house::{Ask, House};
use crate::mutation::{self, Entered};

/// Forwards an object of a class the store keeps itself, and declares one of a tape class.
pub(super) async fn put(house: Arc<House>, ask: Ask, body: Body) -> Result<Response<Body>> {
    match direct::class(&house, &ask).await? {
        None => mutation::forward(house, ask, body).await,
        Some(class) => archive(&house, ask, body, class).await,
    }
}

async fn archive(house: &House, mut ask: Ask, body: Body, class: TapeClass) -> Result<Response<Body>> {
    let target = ask.target()?;
    let entered = Entered::enter(house, &target.bucket, &target.key).await?;
    entered.translate(house, &target, &mut ask.head).await?;
    let row = direct::declaration(house, &target, class).await?;
    direct::mark(house, &mut ask.head.headers, &row);
    let id = row.id;
    entered.touch(house, &ask.route, vec![Change::Archive(row)]).await?;
    direct::confirm(house, &target.bucket, id).await?;
    let outcome = house.forward(ask, body).await;
    direct::settle(house, &target, id, direct::Fate::of(&outcome)).await;
    entered.wake(house);
    outcome
}
