declare const brand: unique symbol

/** A `Base` that has been checked: only the companion of the same name makes one. */
export type Branded<Base, Name extends string> = Base & { readonly [brand]: Name }
