import { concat, concatMap, defer, EMPTY, type MonoTypeOperatorFunction, of } from 'rxjs'

/** Acts after each value, once it has reached everybody: unlike with `tap`, what follows from it is told after it. */
export const afterEach =
  <T>(act: () => void): MonoTypeOperatorFunction<T> =>
  (source$) =>
    source$.pipe(
      concatMap((value) =>
        concat(
          of(value),
          defer(() => {
            act()
            return EMPTY
          }),
        ),
      ),
    )
